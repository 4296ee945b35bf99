"""The published Python client's query builder against the library of ../library.sql."""

import time
from pathlib import Path

import pytest
from postgrest.exceptions import APIError


@pytest.fixture(scope="module")
def library(backend):
    backend.sql((Path(__file__).parent.parent / "library.sql").read_text())
    client = backend.client(backend.env["SERVICE_ROLE_KEY"])
    for _ in range(200):
        try:
            # The last statement of the file is heard last.
            if client.schema("archive").rpc("age", {}).execute().data == 99:
                return client
        except APIError:
            time.sleep(0.02)
    raise AssertionError("the library was never served")


def refused(request):
    """What an application sees of a refusal."""
    with pytest.raises(APIError) as refusal:
        request.execute()
    error = refusal.value
    return {"code": error.code, "message": error.message, "details": error.details, "hint": error.hint}


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        (lambda q: q.eq("title", "Frogs"), [2]),
        (lambda q: q.neq("genre", "novel"), [1, 2]),
        (lambda q: q.gt("price", 9.9), [1]),
        (lambda q: q.gte("price", 9.9), [1, 3]),
        (lambda q: q.lt("price", 9.9), [2]),
        (lambda q: q.lte("price", 9.9), [2, 3]),
        (lambda q: q.like("title", "%rs"), [3]),
        (lambda q: q.ilike("title", "%ENGINES%"), [1, 4]),
        (lambda q: q.like_all_of("title", "A%,%s"), [4]),
        (lambda q: q.like_any_of("title", "F%,S%"), [2, 3]),
        (lambda q: q.is_("translator_id", "null"), [1, 3]),
        (lambda q: q.not_.is_("price", "null"), [1, 2, 3]),
        (lambda q: q.in_("title", ["Frogs", "Stars", 'a,"(b)']), [2, 3]),
        (lambda q: q.contains("tags", ["machine", "maths"]), [1]),
        (lambda q: q.contained_by("tags", ["machine", "pond"]), [2, 3, 4]),
        (lambda q: q.overlaps("tags", ["pond", "maths"]), [1, 2]),
        (lambda q: q.range_gt("lent", (1, 5)), [2, 4]),
        (lambda q: q.range_adjacent("lent", (8, 10)), [2, 4]),
        (lambda q: q.fts("words", "engine"), [1, 4]),
        (lambda q: q.match({"author_id": 3, "genre": "novel"}), [3, 4]),
        (lambda q: q.or_("title.eq.Frogs,and(genre.eq.novel,price.is.null)"), [2, 4]),
        (lambda q: q.filter("price", "eq(any)", "{7,9.9}"), [2, 3]),
        (lambda q: q.eq("headline", "FROGS"), [2]),
    ],
)
def test_rows_are_filtered(library, narrow, expected):
    found = narrow(library.table("books").select("id")).order("id").execute().data
    assert [row["id"] for row in found] == expected


def test_json_is_selected_and_filtered_by_path(library):
    found = library.table("authors").select("name, site:links->web->>site").eq("links->web->visits->>0", "3")
    assert found.execute().data == [{"name": "Ada", "site": "ada.example"}]


def test_a_page_is_cut_out_and_the_rows_are_counted(library):
    page = library.table("books").select("id", count="exact").order("price", desc=True, nullsfirst=True).range(1, 2)
    answer = page.execute()
    assert (answer.data, answer.count) == ([{"id": 1}, {"id": 3}], 4)
    assert library.table("books").select("*", count="exact", head=True).execute().count == 4


def test_one_row_is_an_object_and_anything_else_a_refusal(library):
    def name(key):
        return library.table("authors").select("name").eq("id", key)

    assert name(1).single().execute().data == {"name": "Ada"}
    assert name(1).maybe_single().execute().data == {"name": "Ada"}
    assert name(9).maybe_single().execute() is None
    assert refused(name(9).single()) == {
        "code": "PGRST116",
        "message": "Cannot coerce the result to a single JSON object",
        "details": "The result contains 0 rows",
        "hint": None,
    }


def test_rows_come_as_csv_and_as_a_plan(library):
    csv = library.table("books").select("id, title").eq("id", 2).csv().execute()
    assert csv.data == "id,title\n2,Frogs"
    plan = library.table("books").select("id").eq("id", 2).explain(format="json", analyze=True).execute()
    assert plan.data[0]["Plan"]["Node Type"] == "Aggregate"


def test_related_rows_are_embedded_spread_and_aggregated(library):
    books = library.table("books").select("title, author_id(name), shelves(label), covers(colour)").eq("id", 1)
    assert books.execute().data == [
        {"title": "Engines", "author_id": {"name": "Ada"}, "shelves": [{"label": "door"}], "covers": {"colour": "red"}}
    ]
    spread = library.table("books").select("title, ...author_id(author:name)").eq("id", 2)
    assert spread.execute().data == [{"title": "Frogs", "author": "Basho"}]
    counted = library.table("authors").select("name, books!author_id(count)").order("id").execute()
    assert [author["books"][0]["count"] for author in counted.data] == [1, 1, 2]
    pupils = library.table("authors").select("pupils(name), dearest(title)").eq("id", 1).execute()
    assert pupils.data == [{"pupils": [{"name": "Basho"}, {"name": "Clarice"}], "dearest": {"title": "Engines"}}]


def test_related_rows_have_their_own_order_and_limit_and_narrow_the_others(library):
    first = library.table("authors").select("name, books!author_id(title)").eq("id", 3)
    first = first.order("title", foreign_table="books").limit(1, foreign_table="books")
    assert first.execute().data == [{"name": "Clarice", "books": [{"title": "Apples and engines"}]}]
    red = library.table("books").select("id, covers!inner(colour)").eq("covers.colour", "red")
    assert red.execute().data == [{"id": 1, "covers": {"colour": "red"}}]


def test_two_ways_to_a_related_table_are_refused(library):
    refusal = refused(library.table("books").select("title, authors(name)"))
    assert refusal["code"] == "PGRST201"
    assert refusal["hint"] == (
        "Try changing 'authors' to one of the following: 'authors!books_author_id_fkey', "
        "'authors!books_translator_id_fkey'. Find the desired relationship in the 'details' key."
    )


def test_rows_are_inserted_upserted_changed_and_deleted(library):
    readers = lambda: library.table("readers")  # noqa: E731
    added = readers().insert([{"email": "a", "name": "A"}, {"email": "b"}], default_to_null=False, count="exact").execute()
    assert added.count == 2
    assert [row["visits"] for row in added.data] == [1, 1]
    merged = readers().upsert([{"email": "a", "visits": 5}, {"email": "c", "visits": 2}]).execute()
    assert [(row["email"], row["name"], row["visits"]) for row in merged.data] == [("a", "A", 5), ("c", None, 2)]
    ignored = readers().upsert({"email": "a", "visits": 9}, ignore_duplicates=True).execute()
    assert ignored.data == []
    changed = readers().update({"visits": 7}).eq("email", "a").execute()
    assert changed.data == [{"email": "a", "name": "A", "visits": 7, "tags": ["new"]}]
    assert [row["email"] for row in readers().delete().in_("email", ["b", "c"]).execute().data] == ["b", "c"]
    assert readers().select("email").execute().data == [{"email": "a"}]


def test_a_change_of_everything_or_of_too_much_is_refused(library):
    readers = lambda: library.table("readers")  # noqa: E731
    readers().insert([{"email": "m"}, {"email": "n"}]).execute()
    assert refused(readers().delete())["message"] == "DELETE requires a WHERE clause"
    assert refused(readers().delete().in_("email", ["m", "n"]).max_affected(1)) == {
        "code": "PGRST124",
        "message": "Query result exceeds max-affected preference constraint",
        "details": "The query affects 2 rows",
        "hint": None,
    }
    assert len(readers().select("email").in_("email", ["m", "n"]).execute().data) == 2


@pytest.mark.parametrize(
    ("routine", "parameters", "expected"),
    [
        ("add", {"a": 1, "b": 2}, 3),
        ("add", {"a": 1}, 2),
        ("countdown", {"start": 3}, [3, 2, 1]),
        ("extent", {}, {"books": 4, "authors": 3}),
        ("joined", {"words": ["a", "b"]}, "a-b"),
        ("pick", {"word": "a"}, "word"),
    ],
)
def test_functions_return_every_shape(library, routine, parameters, expected):
    assert library.rpc(routine, parameters).execute().data == expected


def test_returned_rows_are_narrowed_like_a_table(library):
    found = library.rpc("books_of", {"author": "Clarice"}).select("title, covers(colour)").eq("genre", "novel")
    assert found.order("title").limit(1).execute().data == [{"title": "Apples and engines", "covers": None}]
    assert library.rpc("prices", {}, get=True).execute().data[0] == {"title": "Engines", "price": 12.5}


def test_a_function_fails_with_its_own_error(library):
    assert refused(library.rpc("pay", {})) == {
        "code": "PT402",
        "message": "Payment Required",
        "details": "Quota exceeded",
        "hint": "Upgrade",
    }


def test_another_schema_is_asked_by_name(library):
    assert library.schema("archive").table("papers").select("*").execute().data == [{"id": 1, "title": "Charter"}]
    assert refused(library.schema("vault").table("secrets").select("*"))["code"] == "PGRST106"


def test_unknown_names_are_refused_with_a_suggestion(library):
    assert refused(library.table("boks").select("*")) == {
        "code": "PGRST205",
        "message": "Could not find the table 'public.boks' in the schema cache",
        "details": None,
        "hint": "Perhaps you meant the table 'public.books'",
    }
    assert refused(library.table("books").select("weight"))["code"] == "42703"
