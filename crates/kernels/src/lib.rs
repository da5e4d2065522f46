//! Slices in, slices out.
