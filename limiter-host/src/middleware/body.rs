//! The body of an answer: the inner service's, or a refusal's.

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A body that comes from the inner service, or is a refusal's fixed text.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Service { #[pin] body: B },
        Refusal { text: Option<&'static str> },
    }
}

/// Of what kind the bodies of a layer's answers are.
pub trait Answers<B> {
    /// The body of every answer.
    type Body;

    /// The body of the service's answer.
    fn service(body: B) -> Self::Body;

    /// The text of a refusal.
    fn refusal(text: &'static str) -> Self::Body;
}

/// Bodies are [`LimitedBody`]: whatever the service's body, if its data is made of text.
#[derive(Debug)]
pub enum OwnBody {}

/// Bodies are of the service's own type, if it is made of text.
#[derive(Debug)]
pub enum SameBody {}

impl<B> Answers<B> for OwnBody
where
    B: Body,
    B::Data: From<&'static str>,
{
    type Body = LimitedBody<B>;

    #[inline]
    fn service(body: B) -> LimitedBody<B> {
        LimitedBody::service(body)
    }

    fn refusal(text: &'static str) -> LimitedBody<B> {
        LimitedBody::refusal(text)
    }
}

impl<B: Body + From<&'static str>> Answers<B> for SameBody {
    type Body = B;

    #[inline]
    fn service(body: B) -> B {
        body
    }

    fn refusal(text: &'static str) -> B {
        text.into()
    }
}

impl<B> LimitedBody<B> {
    const fn service(body: B) -> Self {
        let kind = Kind::Service { body };
        Self { kind }
    }

    const fn refusal(text: &'static str) -> Self {
        // No text is no frame: a body that has ended before it begins.
        let text = if text.is_empty() { None } else { Some(text) };
        let kind = Kind::Refusal { text };
        Self { kind }
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body,
    B::Data: From<&'static str>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Service { body } => body.poll_frame(context),
            KindProjection::Refusal { text } => {
                let frame = text.take().map(|text| Ok(Frame::data(text.into())));
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { body } => body.is_end_stream(),
            Kind::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { body } => body.size_hint(),
            Kind::Refusal { text } => {
                let length = text.map_or(0, str::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}
