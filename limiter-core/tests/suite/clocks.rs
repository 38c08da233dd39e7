//! Two clocks mixed by mistake and late readings, in far more mixtures than every run of the tests tries.

mod attack {
    use limiter_suite::rules::timeline::search;

    use crate::metered::Metered;
    use crate::subjects::Roomy;

    #[test]
    #[ignore = "an attack: minutes"]
    fn no_mixture_of_two_clocks_passes_three_times_the_limit() {
        search::<Roomy>(5_000, 1_000, 3);
        search::<Metered<64, 32>>(1_000, 1_000, 3);
    }
}
