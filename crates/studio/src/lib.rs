//! The studio: an API and a page in which no number is hidden.
