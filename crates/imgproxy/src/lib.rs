//! The imgproxy URL interface: signatures, sources and presets over `imaging`.
