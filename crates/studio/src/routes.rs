//! All that can be asked, and who answers it. The description of the API is made from this list, too.

use crate::json::Fields;
use crate::message::{Fault, Request, Response};
use crate::session::Session;
use crate::studio::Studio;
use crate::{compare, export, form, generate, look, moves, openapi, ops, source, why};
use std::sync::Arc;

/// What is done with a request.
pub enum Answer {
    /// With nothing else than the studio.
    Whole(fn(&Studio, &Request) -> Result<Response, Fault>),
    /// With a run.
    Run(fn(&Studio, &Arc<Session>, &Request) -> Result<Response, Fault>),
}

/// Something that can be asked.
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// `/api/v1/runs/{id}`
    pub path: &'static str,
    /// One line.
    pub about: &'static str,
    /// Who answers.
    pub answer: Answer,
}

/// What a function that takes the body's fields needs around it.
macro_rules! of_run {
    ($f:path) => {
        Answer::Run(|_, session, request| {
            Ok(Response::json(200, &$f(session, Fields::read(&request.body)?)?))
        })
    };
}

/// All that can be asked.
pub const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/v1", about: "What this is", answer: Answer::Whole(Studio::about) },
    Route {
        method: "GET",
        path: "/api/v1/openapi.json",
        about: "This description",
        answer: Answer::Whole(|_, _| Ok(Response::json(200, &openapi::document()))),
    },
    Route {
        method: "GET",
        path: "/api/v1/form",
        about: "All settings as a form, made from the lists",
        answer: Answer::Whole(|studio, _| Ok(Response::json(200, &form::form(studio.start())))),
    },
    Route {
        method: "POST",
        path: "/api/v1/form/check",
        about: "Are these settings possible?",
        answer: Answer::Whole(|studio, request| {
            Ok(Response::json(200, &studio.check(Fields::read(&request.body)?)?))
        }),
    },
    Route {
        method: "POST",
        path: "/api/v1/condition",
        about: "Can this condition be read?",
        answer: Answer::Whole(|_, request| {
            Ok(Response::json(200, &form::condition(Fields::read(&request.body)?)?))
        }),
    },
    Route {
        method: "GET",
        path: "/api/v1/source",
        about: "The sources that are shown, or the lines of one (file=)",
        answer: Answer::Whole(|_, request| Ok(Response::json(200, &source::answer(request)?))),
    },
    Route {
        method: "POST",
        path: "/api/v1/compare",
        about: "Two runs or two steps: where they differ, and the first number that parted",
        answer: Answer::Whole(|studio, request| {
            Ok(Response::json(200, &compare::compare(studio, Fields::read(&request.body)?)?))
        }),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs",
        about: "The runs that are open, and those that are saved",
        answer: Answer::Whole(Studio::runs),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs",
        about: "Begin a run",
        answer: Answer::Whole(Studio::begin),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/open",
        about: "Open a saved run",
        answer: Answer::Whole(Studio::open_asked),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}",
        about: "A run in short",
        answer: Answer::Run(|_, session, _| Ok(Response::json(200, &session.summary()))),
    },
    Route {
        method: "DELETE",
        path: "/api/v1/runs/{id}",
        about: "Close a run; its folder stays",
        answer: Answer::Run(Studio::close),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/train",
        about: "Go, pause, step, stop",
        answer: Answer::Run(Studio::train),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/save",
        about: "Save it, or give it a folder",
        answer: Answer::Run(Studio::save),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/replay",
        about: "Make every step up to one again, so that all are at hand",
        answer: Answer::Run(Studio::replay),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}/news",
        about: "What has come since a cursor (since=)",
        answer: Answer::Run(|studio, session, request| {
            Ok(Response::json(200, &session.news(studio.life(), request.query("since").as_deref())))
        }),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}/events",
        about: "The same as server-sent events, from the server alone",
        answer: Answer::Run(|studio, session, request| {
            let news = session.news(studio.life(), request.query("since").as_deref());
            let cursor = news["cursor"].as_str().unwrap_or_default();
            let body = format!("id: {cursor}\ndata: {news}\n\n").into_bytes();
            Ok(Response { status: 200, content_type: "text/event-stream", body })
        }),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}/documents",
        about: "What is learnt, in its order (from=, count=)",
        answer: Answer::Run(|_, session, request| {
            let (from, count) = (request.number("from", 0)?, request.number("count", 20)?);
            Ok(Response::json(200, &session.documents(from, count)?))
        }),
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}/model",
        about: "The picture of the model: matrices and tensors",
        answer: Answer::Run(|_, session, _| Ok(Response::json(200, &look::model(session)?))),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/look",
        about: "Windows of tensors and matrices",
        answer: of_run!(look::look),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/why",
        about: "Why a number is what it is",
        answer: of_run!(why::why),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/graph",
        about: "The scalar graph behind a number",
        answer: of_run!(why::graph),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/moved",
        about: "What moved a weight",
        answer: of_run!(moves::moved),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/measures",
        about: "How each matrix moved in a step",
        answer: of_run!(moves::measures),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/ops",
        about: "The operations of a step",
        answer: of_run!(ops::ops),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/op",
        about: "The state after one of them",
        answer: of_run!(ops::op),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/break",
        about: "The next operation to stop at",
        answer: of_run!(ops::stop),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/next",
        about: "How likely each token is to come next",
        answer: of_run!(generate::next),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/write",
        about: "Texts that go on from a beginning",
        answer: of_run!(generate::write),
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/export",
        about: "The look-inside views as one file",
        answer: Answer::Run(|studio, session, request| {
            export::answer(studio, session, Fields::read(&request.body)?)
        }),
    },
];
