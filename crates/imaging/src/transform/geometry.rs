//! Sizes and places, as imgproxy calculates them (`processing/prepare.go`, `calc_position.go`, `gravity_options.go`).

use super::options::{Gravity, Place, Resize, Transform};
use crate::Orientation;

/// Rounded half away from zero, as Go does; nothing stays nothing.
pub(super) fn scaled(side: u32, scale: f64) -> u32 {
    (f64::from(side) * scale).round() as u32
}

/// The smaller of two sides of which 0 means "not given".
pub(super) fn min_given(one: u32, other: u32) -> u32 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

/// A side of the crop in pixels; 0 for all.
pub(super) fn crop_side(whole: u32, wanted: f64) -> u32 {
    if wanted == 0.0 {
        0
    } else if wanted >= 1.0 {
        wanted as u32
    } else {
        scaled(whole, wanted).max(1)
    }
}

/// The size that was asked for, in pixels of the result; 0 where nothing was.
pub(super) fn asked_size(transform: &Transform) -> (u32, u32) {
    let (zoom_x, zoom_y) = transform.zoom;
    (scaled(transform.width, transform.dpr * zoom_x), scaled(transform.height, transform.dpr * zoom_y))
}

/// By how much to scale each axis of an upright picture of this size.
pub(super) fn scale(width: u32, height: u32, transform: &Transform) -> (f64, f64) {
    let (source_width, source_height) = (f64::from(width), f64::from(height));
    let wanted = |side: u32, source: f64| if side == 0 { source } else { f64::from(side) };
    let (wanted_width, wanted_height) =
        (wanted(transform.width, source_width), wanted(transform.height, source_height));
    let mut x = source_width / wanted_width / transform.dpr;
    let mut y = source_height / wanted_height / transform.dpr;
    if x != 1.0 || y != 1.0 {
        let kind = match transform.resize {
            Resize::Auto => {
                let wide = source_width >= source_height;
                if wide == (wanted_width >= wanted_height) { Resize::Fill } else { Resize::Fit }
            }
            kind => kind,
        };
        match kind {
            Resize::Force => {}
            _ if transform.width == 0 => x = y,
            _ if transform.height == 0 => y = x,
            Resize::Fit => x = x.max(y),
            Resize::Fill | Resize::FillDown | Resize::Auto => x = x.min(y),
        }
        if kind != Resize::Force {
            y = x;
        }
    }
    x /= transform.zoom.0;
    y /= transform.zoom.1;
    if !transform.enlarge {
        if x < 1.0 {
            y /= x;
            x = 1.0;
        }
        if y < 1.0 {
            x /= y;
            y = 1.0;
        }
    }
    let least = |side: u32, source: f64| if side == 0 { f64::INFINITY } else { source / f64::from(side) };
    let least_width = least(transform.min_width, source_width);
    if least_width < x {
        y /= x / least_width;
        x = least_width;
    }
    let least_height = least(transform.min_height, source_height);
    if least_height < y {
        x /= y / least_height;
        y = least_height;
    }
    if let Some((most_width, most_height)) = transform.bounds {
        let over = (source_width / x / f64::from(most_width)).max(source_height / y / f64::from(most_height));
        if over > 1.0 {
            x *= over;
            y *= over;
        }
    }
    (1.0 / x.min(source_width), 1.0 / y.min(source_height))
}

/// Where the inner rectangle begins in the outer one. `overflow` lets it reach out by all but a pixel.
pub(super) fn position(
    outer: (u32, u32),
    inner: (u32, u32),
    gravity: &Gravity,
    overflow: bool,
) -> (i64, i64) {
    let (width, height) = (i64::from(outer.0), i64::from(outer.1));
    let (inner_width, inner_height) = (i64::from(inner.0), i64::from(inner.1));
    let (mut left, mut top);
    if gravity.place == Place::FocusPoint {
        left = i64::from(scaled(outer.0, gravity.x)) - inner_width / 2;
        top = i64::from(scaled(outer.1, gravity.y)) - inner_height / 2;
    } else {
        let (x, y) = (gravity.x as i64, gravity.y as i64);
        left = ((width - inner_width + 1) / 2).saturating_add(x);
        top = ((height - inner_height + 1) / 2).saturating_add(y);
        match gravity.place {
            Place::North | Place::NorthEast | Place::NorthWest => top = y,
            Place::South | Place::SouthEast | Place::SouthWest => {
                top = (height - inner_height).saturating_sub(y)
            }
            _ => {}
        }
        match gravity.place {
            Place::West | Place::NorthWest | Place::SouthWest => left = x,
            Place::East | Place::NorthEast | Place::SouthEast => {
                left = (width - inner_width).saturating_sub(x)
            }
            _ => {}
        }
    }
    let within = |value: i64, outer: i64, inner: i64| {
        let (least, most) = if overflow { (1 - inner, outer - 1) } else { (0, outer - inner) };
        value.min(most).max(least)
    };
    (within(left, width, inner_width), within(top, height, inner_height))
}

/// The same place in the stored picture, which will be turned this way.
pub(super) fn before_turning(mut gravity: Gravity, orientation: Orientation) -> Gravity {
    use Place::{Center, East, FocusPoint, North, NorthEast, NorthWest, South, SouthEast, SouthWest, West};
    if orientation.flip {
        gravity.place = match gravity.place {
            East => West,
            West => East,
            NorthWest => NorthEast,
            NorthEast => NorthWest,
            SouthWest => SouthEast,
            SouthEast => SouthWest,
            place => place,
        };
        match gravity.place {
            Center | North | South => gravity.x = -gravity.x,
            FocusPoint => gravity.x = 1.0 - gravity.x,
            _ => {}
        }
    }
    let quarter = |place| match place {
        North => West,
        East => North,
        South => East,
        West => South,
        NorthWest => SouthWest,
        NorthEast => NorthWest,
        SouthWest => SouthEast,
        SouthEast => NorthEast,
        place => place,
    };
    let Gravity { x, y, .. } = gravity;
    match orientation.angle {
        90 => {
            gravity.place = quarter(gravity.place);
            (gravity.x, gravity.y) = match gravity.place {
                Center | East | West => (y, -x),
                FocusPoint => (y, 1.0 - x),
                _ => (y, x),
            };
        }
        180 => {
            gravity.place = quarter(quarter(gravity.place));
            (gravity.x, gravity.y) = match gravity.place {
                Center => (-x, -y),
                North | South => (-x, y),
                East | West => (x, -y),
                FocusPoint => (1.0 - x, 1.0 - y),
                _ => (x, y),
            };
        }
        270 => {
            gravity.place = quarter(quarter(quarter(gravity.place)));
            (gravity.x, gravity.y) = match gravity.place {
                Center | North | South => (-y, x),
                FocusPoint => (1.0 - y, x),
                _ => (y, x),
            };
        }
        _ => {}
    }
    gravity
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result's size for a source of 400×200.
    fn size(resize: Resize, width: u32, height: u32) -> (u32, u32) {
        let transform = Transform { resize, width, height, ..Transform::default() };
        let (x, y) = scale(400, 200, &transform);
        (scaled(400, x), scaled(200, y))
    }

    #[test]
    fn each_way_of_resizing_has_its_size() {
        assert_eq!(size(Resize::Fit, 100, 100), (100, 50));
        assert_eq!(size(Resize::Fill, 100, 100), (200, 100));
        assert_eq!(size(Resize::Force, 100, 100), (100, 100));
        assert_eq!(size(Resize::Auto, 100, 80), (160, 80));
        assert_eq!(size(Resize::Auto, 80, 100), (80, 40));
    }

    #[test]
    fn a_missing_side_follows_the_other() {
        for resize in [Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Auto] {
            assert_eq!(size(resize, 100, 0), (100, 50), "{resize:?}");
            assert_eq!(size(resize, 0, 100), (200, 100), "{resize:?}");
        }
        assert_eq!(size(Resize::Force, 100, 0), (100, 200));
        assert_eq!(size(Resize::Fit, 0, 0), (400, 200));
    }

    #[test]
    fn nothing_grows_unless_told() {
        assert_eq!(size(Resize::Fill, 800, 800), (400, 200));
        // The wanted proportions are kept, smaller than wanted.
        assert_eq!(size(Resize::Force, 800, 100), (400, 50));
        let transform = Transform { width: 800, enlarge: true, ..Transform::default() };
        assert_eq!(scale(400, 200, &transform), (2.0, 2.0));
    }

    #[test]
    fn bounds_shrink_what_is_left_open() {
        let transform = Transform { width: 300, bounds: Some((3000, 100)), ..Transform::default() };
        assert_eq!(scale(400, 200, &transform), (0.5, 0.5));
    }

    #[test]
    fn no_side_vanishes() {
        let transform = Transform { width: 1, ..Transform::default() };
        let (x, y) = scale(10_000, 10, &transform);
        assert_eq!((scaled(10_000, x), scaled(10, y)), (1, 1));
    }

    #[test]
    fn places_are_where_their_names_say() {
        let at = |place, x, y| position((100, 60), (40, 20), &Gravity { place, x, y }, false);
        assert_eq!(at(Place::Center, 0.0, 0.0), (30, 20));
        assert_eq!(at(Place::NorthWest, 5.0, 6.0), (5, 6));
        assert_eq!(at(Place::SouthEast, 5.0, 6.0), (55, 34));
        assert_eq!(at(Place::North, 0.0, 0.0), (30, 0));
        assert_eq!(at(Place::FocusPoint, 0.5, 1.0), (30, 40));
        assert_eq!(at(Place::West, 1e9, 0.0), (60, 20));
        let out = Gravity { place: Place::NorthWest, x: -100.0, y: 0.0 };
        assert_eq!(position((100, 60), (40, 20), &out, true), (-39, 0));
    }

    #[test]
    fn gravity_turns_with_the_picture() {
        let turn = |place, angle, flip| {
            before_turning(Gravity { place, x: 1.0, y: 2.0 }, Orientation { angle, flip })
        };
        assert_eq!(turn(Place::North, 90, false), Gravity { place: Place::West, x: 2.0, y: -1.0 });
        assert_eq!(turn(Place::NorthWest, 180, false), Gravity { place: Place::SouthEast, x: 1.0, y: 2.0 });
        assert_eq!(turn(Place::East, 270, false), Gravity { place: Place::South, x: -2.0, y: 1.0 });
        assert_eq!(turn(Place::East, 0, true), Gravity { place: Place::West, x: 1.0, y: 2.0 });
    }
}
