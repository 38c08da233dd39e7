//! Every rule of the specification, one by one.

use crate::subjects::{CHECK, Roomy, Small};

limiter_suite::suite!(roomy: Roomy<CHECK>, small: Small);
