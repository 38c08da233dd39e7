//! Every rule of the specification, over every implementation.

mod limiter {
    use crate::subjects::{Roomy, Small};

    limiter_suite::suite!(roomy: Roomy, small: Small);
}

#[cfg(feature = "critical-section")]
mod shared {
    use crate::subjects::InSection;

    limiter_suite::suite!(roomy: InSection<64, 32>, small: InSection<4, 3>);
}

mod reserved {
    use crate::metered::Metered;

    limiter_suite::suite!(roomy: Metered<64, 32>, small: Metered<4, 3>);
}
