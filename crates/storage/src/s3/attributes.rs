//! What an object is, asked for by name: size, tag, checksum and the sizes of its parts in one answer.

use axum::response::Response;

use super::error::{S3Error, S3Result};
use super::list::number;
use super::read::PartSizes;
use super::xml::Document;
use super::{Call, headers, read, set, xml_response};
use crate::domain::Object;
use crate::http_parts::http_date;

/// What may be asked for.
const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// The names that the headers ask for.
fn wanted(call: &Call) -> S3Result<Vec<&str>> {
    let lists = call.headers.get_all("x-amz-object-attributes").iter();
    let names: Vec<&str> = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() || names.iter().any(|name| !KNOWN.contains(name)) {
        return Err(S3Error::invalid_argument("Invalid attribute name specified."));
    }
    Ok(names)
}

pub(super) async fn get(call: &Call) -> S3Result<Response> {
    let wanted = wanted(call)?;
    let wants = |name: &str| wanted.contains(&name);
    let object = read::find(call).await?;
    let size = call.domain.size_of(&object).await?;
    let members = object.row.metadata.clone().unwrap_or_default();
    let mut document = Document::new("GetObjectAttributesResponse");
    if wants("ETag") {
        document.optional("ETag", object.etag().map(|tag| tag.trim_matches('"')));
    }
    if wants("Checksum")
        && let Some((algorithm, value)) = headers::kept_checksums(&members).next()
    {
        document.nest("Checksum", |checksum| {
            checksum.text(algorithm.element(), value);
            checksum.text("ChecksumType", read::checksum_kind(&object));
        });
    }
    if wants("ObjectParts")
        && let Some(parts) = PartSizes::of(&object)
    {
        list_parts(call, &object, &parts, &mut document).await?;
    }
    if wants("StorageClass") {
        document.text("StorageClass", "STANDARD");
    }
    if wants("ObjectSize") {
        document.value("ObjectSize", size);
    }
    let mut response = xml_response(document.finish());
    if let Some(at) = object.last_modified() {
        set(&mut response, "last-modified", &http_date(at));
    }
    Ok(response)
}

async fn list_parts(
    call: &Call,
    object: &Object,
    parts: &PartSizes,
    document: &mut Document,
) -> S3Result<()> {
    let max = number(call.header("x-amz-max-parts"), "x-amz-max-parts", 1000)?;
    let count = parts.count();
    let most = u32::try_from(count).unwrap_or(u32::MAX);
    let marker = match call.header("x-amz-part-number-marker") {
        None => 0,
        marker => u64::from(number(marker, "x-amz-part-number-marker", most)?),
    };
    let last = (marker + u64::from(max)).min(count);
    let mut checksums = read::part_checksums(call, object, marker + 1, last - marker).await?.into_iter();
    document.nest("ObjectParts", |list| {
        list.value("PartsCount", count);
        list.value("PartNumberMarker", marker);
        list.value("NextPartNumberMarker", last);
        list.value("MaxParts", max);
        list.value("IsTruncated", last < count);
        for number in marker + 1..=last {
            let Some(range) = parts.range(number) else { break };
            list.nest("Part", |part| {
                part.value("PartNumber", number);
                part.value("Size", range.end - range.start);
                if let Some(checksum) = checksums.next() {
                    part.text(checksum.algorithm.element(), &checksum.text());
                }
            });
        }
    });
    Ok(())
}
