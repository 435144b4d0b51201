//! The end of a chain: functions whose arguments are extracted from the context.

use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{self, Poll};

use http::Extensions;

use super::context::Context;
use super::error::HandlerError;
use super::extract::FromContext;
use super::reply::{Caller, IntoReply};
use crate::app::handler::{Async, Plain};
use crate::ground::BoxFuture;

/// How a handler, a middleware or a whole chain ends.
pub type HandlerResult = Result<(), HandlerError>;

/// What runs at the end of a chain.
///
/// Implemented for functions and closures, async or plain, of up to six arguments that implement
/// [`FromContext`], and that return nothing, a [reply](IntoReply) to the client, or a `Result` of
/// one of them; the parameter tells their shapes apart and is inferred. If an argument cannot be extracted the function is not called,
/// and the extractor's error is the handler's.
///
/// If the compiler says that a function is no handler, it does not say why. Each argument must
/// implement [`FromContext`]: [`Json<T>`](super::Json) does if `T` is
/// [`Deserialize`](serde::Deserialize), [`State<S>`](super::State) if `S` is [`Clone`]. Check one
/// after the other:
///
/// ```
/// use wspulse::router::{FromContext, Json};
///
/// #[derive(serde::Deserialize)] // without it the last line does not compile, and says so
/// struct Line {}
///
/// fn argument<T: FromContext>() {}
/// argument::<Json<Line>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "a handler is a function or closure of up to six arguments that implement \
            `FromContext`, their types written out; it returns `()`, `Json<T>`, a `Reply`, or a \
            `Result` of one of them, or a future of that which is `Send`",
    note = "`Json<T>` needs `T: serde::de::DeserializeOwned`, as by `#[derive(Deserialize)]`; `State<S>` \
            and `Extension<S>` need `S: Clone + Send + Sync`",
    note = "to find the argument that is none, have the compiler check one after the other: \
            `fn argument<T: wspulse::router::FromContext>() {{}}` and `argument::<Json<MyType>>();`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// Starts the handler.
    fn call(&self, context: Context) -> HandlerFuture;

    /// The name of a type of state that an argument needs and the router was not given; see
    /// [`FromContext::missing_state`].
    fn missing_state(state: &Extensions) -> Option<&'static str>
    where
        Self: Sized,
    {
        let _ = state;
        None
    }
}

/// A handler that has been started.
#[must_use = "futures do nothing unless polled"]
pub struct HandlerFuture(State);

enum State {
    Ready(Ready<HandlerResult>),
    Boxed(BoxFuture<HandlerResult>),
}

impl HandlerFuture {
    /// A handler that has something left to do.
    pub fn new(future: impl Future<Output = HandlerResult> + Send + 'static) -> Self {
        Self(State::Boxed(Box::pin(future)))
    }

    /// A handler that is done.
    pub fn ready(result: HandlerResult) -> Self {
        Self(State::Ready(ready(result)))
    }
}

impl Future for HandlerFuture {
    type Output = HandlerResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<HandlerResult> {
        match &mut self.0 {
            State::Ready(future) => Pin::new(future).poll(cx),
            State::Boxed(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for HandlerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Ready(_) => "HandlerFuture::Ready",
            State::Boxed(_) => "HandlerFuture::Boxed",
        })
    }
}

/// What a middleware may end with: `()`, or a `Result<(), E>` of any error.
pub trait IntoHandlerResult: sealed::Result {}

impl IntoHandlerResult for () {}

impl<E: Into<HandlerError>> IntoHandlerResult for Result<(), E> {}

/// What a handler may end with: a [reply](IntoReply), which may be `()`, or a `Result` of one and any
/// error.
pub trait HandlerEnd: sealed::End {}

impl<R: IntoReply> HandlerEnd for R {}

impl<R: IntoReply, E: Into<HandlerError>> HandlerEnd for Result<R, E> {}

/// What a handler may return: what it ends with, if it is plain, or a future of that, if it is
/// async. The parameter only tells the two apart and is inferred.
pub trait HandlerOutput<Kind>: sealed::Output<Kind> {}

impl<R: HandlerEnd> HandlerOutput<Plain> for R {}

impl<F> HandlerOutput<Async> for F
where
    F: Future + Send + 'static,
    F::Output: HandlerEnd,
{
}

mod sealed {
    use super::{Async, Caller, HandlerError, HandlerFuture, HandlerResult, IntoReply, Plain};

    pub trait Result {
        fn into_handler_result(self) -> HandlerResult;
    }

    impl Result for () {
        fn into_handler_result(self) -> HandlerResult {
            Ok(())
        }
    }

    impl<E: Into<HandlerError>> Result for core::result::Result<(), E> {
        fn into_handler_result(self) -> HandlerResult {
            self.map_err(Into::into)
        }
    }

    pub trait End {
        /// Whether it may send anything.
        const ANSWERS: bool;

        fn end(self, caller: Option<Caller>) -> HandlerResult;
    }

    impl<R: IntoReply> End for R {
        const ANSWERS: bool = R::ANSWERS;

        fn end(self, caller: Option<Caller>) -> HandlerResult {
            caller.map_or(Ok(()), |caller| self.reply(caller))
        }
    }

    impl<R: IntoReply, E: Into<HandlerError>> End for core::result::Result<R, E> {
        const ANSWERS: bool = R::ANSWERS;

        fn end(self, caller: Option<Caller>) -> HandlerResult {
            self.map_err(Into::into)?.end(caller)
        }
    }

    pub trait Output<Kind> {
        const ANSWERS: bool;

        fn into_future(self, caller: Option<Caller>) -> HandlerFuture;
    }

    impl<R: End> Output<Plain> for R {
        const ANSWERS: bool = <R as End>::ANSWERS;

        fn into_future(self, caller: Option<Caller>) -> HandlerFuture {
            HandlerFuture::ready(self.end(caller))
        }
    }

    impl<F> Output<Async> for F
    where
        F: Future + Send + 'static,
        F::Output: End,
    {
        const ANSWERS: bool = <F::Output as End>::ANSWERS;

        fn into_future(self, caller: Option<Caller>) -> HandlerFuture {
            match caller {
                Some(caller) => HandlerFuture::new(async move { self.await.end(Some(caller)) }),
                None => HandlerFuture::new(async move { self.await.end(None) }),
            }
        }
    }
}

pub(super) fn handler_result(output: impl IntoHandlerResult) -> HandlerResult {
    sealed::Result::into_handler_result(output)
}

macro_rules! handler_of {
    ($($arg:ident),*) => {
        impl<F, R, Kind, $($arg),*> Handler<(Kind, $($arg,)*)> for F
        where
            F: Fn($($arg),*) -> R + Send + Sync + 'static,
            R: HandlerOutput<Kind>,
            $($arg: FromContext,)*
        {
            #[allow(unused_variables, reason = "a handler without arguments extracts nothing")]
            fn call(&self, context: Context) -> HandlerFuture {
                let extract_and_call = || -> Result<R, HandlerError> {
                    Ok(self($($arg::from_context(&context).map_err(Into::into)?),*))
                };
                let answers = <R as sealed::Output<Kind>>::ANSWERS;
                let caller = answers.then(|| Caller::of(&context)).flatten();
                match extract_and_call() {
                    Ok(output) => sealed::Output::into_future(output, caller),
                    Err(error) => HandlerFuture::ready(Err(error)),
                }
            }

            #[allow(unused_variables, reason = "a handler without arguments needs none")]
            fn missing_state(state: &Extensions) -> Option<&'static str> {
                None$(.or_else(|| $arg::missing_state(state)))*
            }
        }
    };
}

handler_of!();
handler_of!(A);
handler_of!(A, B);
handler_of!(A, B, C);
handler_of!(A, B, C, D);
handler_of!(A, B, C, D, E);
handler_of!(A, B, C, D, E, G);
