//! MD5 of a long body by its leaves, eight of them at a time.
//!
//! MD5 cannot be hurried: each of its steps waits for the one before, so a processor that could do several times as much
//! sits idle, and a body of 100 MiB takes longer to hash than to write. Eight leaves side by side keep it busy. The
//! result has the form of S3's tags of uploads in parts: MD5 over the leaves' MD5s, and their number.

use std::array;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use self::words::Words;

/// The size of a leaf, in bytes. The last one is shorter.
const LEAF: usize = 16 << 10;
/// How many are hashed at a time.
const LANES: usize = 8;
const BLOCK: usize = 64;

/// MD5 over the MD5s of the leaves of what passes.
pub(super) struct Leaves {
    /// What is not hashed yet: less than `LANES` leaves.
    buffer: Vec<u8>,
    root: Md5,
    count: u64,
}

impl Leaves {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::with_capacity(LANES * LEAF), root: Md5::new(), count: 0 }
    }

    pub(super) fn update(&mut self, bytes: &Bytes) {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(LANES * LEAF - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == LANES * LEAF {
                for digest in side_by_side(&self.buffer) {
                    self.root.update(digest);
                }
                self.count += LANES as u64;
                self.buffer.clear();
            }
        }
    }

    /// The digest and how many leaves there were. No bytes at all are one empty leaf.
    pub(super) fn finish(mut self) -> ([u8; 16], u64) {
        let none = self.count == 0 && self.buffer.is_empty();
        for leaf in self.buffer.chunks(LEAF).chain(none.then_some(&[][..])) {
            self.root.update(Md5::digest(leaf));
            self.count += 1;
        }
        (self.root.finalize().into(), self.count)
    }
}

/// The MD5s of eight leaves that lie one behind the other.
fn side_by_side(leaves: &[u8]) -> [[u8; 16]; LANES] {
    let leaves: [&[u8]; LANES] = array::from_fn(|lane| &leaves[lane * LEAF..(lane + 1) * LEAF]);
    let mut state = START.map(Words::splat);
    for at in (0..LEAF).step_by(BLOCK) {
        let blocks = leaves.map(|leaf| &leaf[at..at + BLOCK]);
        let mut message = [Words::splat(0); BLOCK / 4];
        for (at, words) in message.iter_mut().enumerate() {
            let mut lanes = [0; LANES];
            for (lane, block) in lanes.iter_mut().zip(blocks) {
                let bytes = &block[at * 4..at * 4 + 4];
                *lane = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            *words = Words::from(lanes);
        }
        compress(&mut state, &message);
    }
    // The end of each: a one, zeros, and the length in bits.
    let mut end = [0; BLOCK / 4];
    end[0] = 0x80;
    end[14] = (LEAF * 8) as u32;
    compress(&mut state, &end.map(Words::splat));
    let state = state.map(<[u32; LANES]>::from);
    array::from_fn(|lane| {
        let mut digest = [0; 16];
        for (bytes, words) in digest.chunks_exact_mut(4).zip(&state) {
            bytes.copy_from_slice(&words[lane].to_le_bytes());
        }
        digest
    })
}

/// RFC 1321, section 3.3.
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Section 3.4: by how much is rotated in each round, in turns of four.
const ROTATIONS: [[i32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The same: sines, as whole numbers.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// One block of each lane.
fn compress(state: &mut [Words; 4], message: &[Words; 16]) {
    let [mut a, mut b, mut c, mut d] = *state;
    // Sixteen steps, written out, so that rotations and places in the message are known when this is compiled.
    macro_rules! round {
        ($round:literal, $place:expr, $mix:expr) => {
            round!(@step $round, $place, $mix, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
        };
        (@step $round:literal, $place:expr, $mix:expr, $($at:literal)*) => {
            $({
                const LEFT: i32 = ROTATIONS[$round][$at % 4];
                let sum = a + $mix(b, c, d) + message[$place($at) % 16] + Words::splat(SINES[$round * 16 + $at]);
                (a, d, c, b) = (d, c, b, sum.rotated::<LEFT, { 32 - LEFT }>() + b);
            })*
        };
    }
    round!(0, |at: usize| at, |b: Words, c: Words, d: Words| d ^ (b & (c ^ d)));
    round!(1, |at: usize| 5 * at + 1, |b: Words, c: Words, d: Words| c ^ (d & (b ^ c)));
    round!(2, |at: usize| 3 * at + 5, |b: Words, c: Words, d: Words| b ^ c ^ d);
    round!(3, |at: usize| 7 * at, |b: Words, c: Words, d: Words| c ^ (b | !d));
    for (word, now) in state.iter_mut().zip([a, b, c, d]) {
        *word = *word + now;
    }
}

/// A word of each lane, in the registers that every processor of this kind has.
#[cfg(target_arch = "x86_64")]
mod words {
    use std::arch::x86_64::*;
    use std::ops::{Add, BitAnd, BitOr, BitXor, Not};

    use super::LANES;

    #[derive(Clone, Copy)]
    pub(super) struct Words(__m128i, __m128i);

    macro_rules! sse2 {
        ($intrinsic:expr) => {{
            #[allow(unsafe_code)]
            // SAFETY: those used here compute with values alone, and every processor of this architecture has SSE2.
            unsafe {
                $intrinsic
            }
        }};
    }

    impl From<[u32; LANES]> for Words {
        #[inline(always)]
        fn from(words: [u32; LANES]) -> Self {
            let at = |lane: usize| words[lane].cast_signed();
            sse2!(Self(_mm_set_epi32(at(3), at(2), at(1), at(0)), _mm_set_epi32(at(7), at(6), at(5), at(4))))
        }
    }

    impl From<Words> for [u32; LANES] {
        fn from(Words(low, high): Words) -> Self {
            let parts = sse2!([
                _mm_cvtsi128_si64(low),
                _mm_cvtsi128_si64(_mm_srli_si128::<8>(low)),
                _mm_cvtsi128_si64(high),
                _mm_cvtsi128_si64(_mm_srli_si128::<8>(high)),
            ]);
            std::array::from_fn(|lane| (parts[lane / 2].cast_unsigned() >> (lane % 2 * 32)) as u32)
        }
    }

    impl Words {
        /// The same in all lanes.
        #[inline(always)]
        pub(super) fn splat(word: u32) -> Self {
            let half = sse2!(_mm_set1_epi32(word.cast_signed()));
            Self(half, half)
        }

        /// Rotated to the left; `RIGHT` is what `LEFT` leaves of 32.
        #[inline(always)]
        pub(super) fn rotated<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            let one = |half| sse2!(_mm_or_si128(_mm_slli_epi32::<LEFT>(half), _mm_srli_epi32::<RIGHT>(half)));
            Self(one(self.0), one(self.1))
        }
    }

    macro_rules! operator {
        ($name:ident, $method:ident, $intrinsic:ident) => {
            impl $name for Words {
                type Output = Self;

                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    sse2!(Self($intrinsic(self.0, other.0), $intrinsic(self.1, other.1)))
                }
            }
        };
    }
    operator!(Add, add, _mm_add_epi32);
    operator!(BitAnd, bitand, _mm_and_si128);
    operator!(BitOr, bitor, _mm_or_si128);
    operator!(BitXor, bitxor, _mm_xor_si128);

    impl Not for Words {
        type Output = Self;

        #[inline(always)]
        fn not(self) -> Self {
            self ^ Self::splat(u32::MAX)
        }
    }
}

/// A word of each lane, for the compiler to make the best of.
#[cfg(not(target_arch = "x86_64"))]
mod words {
    use std::array;
    use std::ops::{Add, BitAnd, BitOr, BitXor, Not};

    use super::LANES;

    #[derive(Clone, Copy)]
    pub(super) struct Words([u32; LANES]);

    impl From<[u32; LANES]> for Words {
        fn from(words: [u32; LANES]) -> Self {
            Self(words)
        }
    }

    impl From<Words> for [u32; LANES] {
        fn from(words: Words) -> Self {
            words.0
        }
    }

    impl Words {
        /// The same in all lanes.
        #[inline(always)]
        pub(super) fn splat(word: u32) -> Self {
            Self([word; LANES])
        }

        /// Rotated to the left; `RIGHT` is what `LEFT` leaves of 32.
        #[inline(always)]
        pub(super) fn rotated<const LEFT: i32, const RIGHT: i32>(self) -> Self {
            Self(self.0.map(|word| word.rotate_left(LEFT.cast_unsigned())))
        }
    }

    macro_rules! operator {
        ($name:ident, $method:ident, $operation:expr) => {
            impl $name for Words {
                type Output = Self;

                #[inline(always)]
                fn $method(self, other: Self) -> Self {
                    Self(array::from_fn(|lane| $operation(self.0[lane], other.0[lane])))
                }
            }
        };
    }
    operator!(Add, add, u32::wrapping_add);
    operator!(BitAnd, bitand, u32::bitand);
    operator!(BitOr, bitor, u32::bitor);
    operator!(BitXor, bitxor, u32::bitxor);

    impl Not for Words {
        type Output = Self;

        #[inline(always)]
        fn not(self) -> Self {
            Self(self.0.map(u32::not))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slowly(content: &[u8]) -> ([u8; 16], u64) {
        let leaves: Vec<&[u8]> =
            if content.is_empty() { vec![content] } else { content.chunks(LEAF).collect() };
        let digests: Vec<u8> = leaves.iter().flat_map(Md5::digest).collect();
        (Md5::digest(digests).into(), leaves.len() as u64)
    }

    #[test]
    fn it_is_md5_over_the_md5s_of_the_leaves_however_the_bytes_come() {
        let content: Vec<u8> =
            (0..20 * LEAF as u32 + 77).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for length in [0, 1, LEAF - 1, LEAF, LEAF + 1, 8 * LEAF, 8 * LEAF + 1, content.len()] {
            for step in [1000, 64 << 10, 1 << 20] {
                let mut leaves = Leaves::new();
                for chunk in content[..length].chunks(step) {
                    leaves.update(&Bytes::copy_from_slice(chunk));
                }
                assert_eq!(leaves.finish(), slowly(&content[..length]), "{length} bytes by {step}");
            }
        }
    }
}
