//! Pictures to begin with.

/// A bitmap: red on the left, blue on the right.
pub(crate) fn bitmap(width: u32, height: u32) -> Vec<u8> {
    let row: Vec<u8> = (0..width)
        .flat_map(|x| if x < width / 2 { [20, 20, 220] } else { [220, 20, 20] })
        .chain(std::iter::repeat_n(0, (4 - (width as usize * 3) % 4) % 4))
        .collect();
    let pixels = row.repeat(height as usize);
    let mut file = b"BM".to_vec();
    file.extend_from_slice(&(54 + pixels.len() as u32).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&54u32.to_le_bytes());
    file.extend_from_slice(&40u32.to_le_bytes());
    file.extend_from_slice(&width.to_le_bytes());
    file.extend_from_slice(&height.to_le_bytes());
    file.extend_from_slice(&[1, 0, 24, 0]);
    file.extend_from_slice(&[0; 24]);
    file.extend_from_slice(&pixels);
    file
}
