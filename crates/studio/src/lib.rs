//! The studio: an API and a page in which no number is hidden.
//!
//! The whole API is one function, [`Studio::handle`]: a request in, a response out. `API.md` beside this crate says what
//! can be asked. The modules in the order in which a request meets them:
//!
//! - [`message`], [`json`]: what is asked and answered
//! - [`studio`], [`routes`]: all runs, and who answers what
//! - [`form`], [`begin`], [`shelf`], [`folder`]: settings, and how a run comes to be
//! - [`session`], [`pupil`], [`history`], [`weights`]: a run, its training, its past
//! - [`news`]: what it has to tell
//! - [`view`], [`edit`], [`names`]: where one looks, what is changed there, what numbers are called
//! - [`look`], [`why`], [`moves`], [`ops`], [`condition`], [`generate`], [`compare`], [`source`]: what is answered about it
//! - [`export`], [`openapi`], [`page`]: one file, a description, the page
//! - [`serve`]: the server around it, with sockets, threads and a clock

pub mod json;
pub mod message;
pub mod weights;
pub mod history;
pub mod pupil;
pub mod condition;
pub mod shelf;
pub mod folder;
pub mod session;
pub mod edit;
pub mod view;
pub mod names;
pub mod source;
pub mod look;
pub mod why;
pub mod moves;
pub mod ops;
pub mod generate;
pub mod news;
pub mod form;
pub mod begin;
pub mod compare;
pub mod page;
pub mod export;
pub mod openapi;
pub mod studio;
pub mod room;
pub mod routes;
pub mod serve;

pub use message::{Request, Response};
pub use studio::Studio;
