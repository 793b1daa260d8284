//! A machine that loses power on request.
