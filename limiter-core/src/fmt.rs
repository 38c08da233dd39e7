//! Logging: `defmt` on a device, nothing anywhere else.
//!
//! The `defmt` arm is compiled for bare metal alone, since a host program does not link once a log
//! macro is reachable.

macro_rules! info {
    ($format:literal $(, $argument:expr)*) => {{
        #[cfg(all(feature = "defmt", target_os = "none"))]
        defmt::info!($format $(, $argument)*);
        #[cfg(not(all(feature = "defmt", target_os = "none")))]
        if false {
            let _ = ($(&$argument,)*);
        }
    }};
}

macro_rules! warn_ {
    ($format:literal $(, $argument:expr)*) => {{
        #[cfg(all(feature = "defmt", target_os = "none"))]
        defmt::warn!($format $(, $argument)*);
        #[cfg(not(all(feature = "defmt", target_os = "none")))]
        if false {
            let _ = ($(&$argument,)*);
        }
    }};
}

pub(crate) use info;
pub(crate) use warn_ as warn;
