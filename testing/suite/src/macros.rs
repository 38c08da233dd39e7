//! The list of every rule, as tests of one implementation.

/// Makes every rule a test of an implementation.
///
/// `roomy` is a [`crate::Subject`] with room for 50 tokens of 20 users; `small` has at least 3 rows
/// for tokens and fewer for users. An implementation that evicts nobody has no `small` one, and the
/// table's rules are left out; `when` says whether it can run here at all.
///
/// ```ignore
/// limiter_suite::suite!(roomy: Limiter<64, 32>, small: Limiter<4, 3>);
/// ```
#[macro_export]
macro_rules! suite {
    (roomy: $roomy:ty, small: $small:ty) => {
        $crate::suite!(roomy: $roomy, when: true);
        $crate::suite!(@rules $small, true, table: [
            t2_receipts_of_a_count_that_saturated_give_the_rows_next_user_nothing
            t1_the_capacity_is_fixed
            t2_an_open_window_keeps_its_row_until_it_ends
            t2_a_running_offence_period_keeps_its_row_until_it_ends
            t2_a_block_keeps_its_row_until_it_ends
            t2_a_pin_keeps_its_row
            t2_a_revoked_row_goes_when_its_window_has_ended_pinned_or_not
            t2_a_user_row_stays_while_something_is_used_this_accounting_day
            t2_a_user_row_stays_while_it_has_strikes
            t2_a_user_row_stays_while_a_token_refers_to_it
            t2_users_with_idle_tokens_do_not_lock_newcomers_out
            t2_one_token_in_use_keeps_its_user_and_the_other_tokens
            t2_yesterdays_idle_users_do_not_lock_newcomers_out
            t2_strikes_of_a_former_fair_use_mode_hold_no_row
            t2_what_takes_an_idle_tokens_row_says_whose
            t3_being_refused_again_looks_at_no_row_until_one_may_be_idle
            t3_a_block_shorter_than_the_offence_period_frees_a_row_early
            t3_what_frees_a_row_early_is_not_overlooked
            t3_a_refund_frees_a_users_row_early
            t3_a_full_table_says_so_touches_nobody_and_counts_it
            t3_what_is_wrong_with_a_registration_is_said_before_a_row_is_looked_for
            t5_no_look_up_visits_more_rows_than_are_told_and_there_are
        ]);
    };
    (roomy: $roomy:ty, when: $when:expr) => {
        $crate::suite!(@rules $roomy, $when, order: [
            o1_a_webhook_is_exempt_whoever_sends_it_and_whatever_it_costs
            o2_a_request_without_a_known_token_is_unauthenticated_and_feeds_no_calendar
            o3_a_blocked_token_is_refused_before_its_cost_is_looked_at
            o4_a_cost_beyond_the_window_limit_can_never_fit_and_is_no_offence
            o4_a_cost_beyond_the_daily_limit_can_never_fit_in_strict_mode_if_it_counts_daily
            o4_what_can_never_fit_makes_no_strike
            o5_both_the_window_and_the_day_are_charged
            o6_what_the_window_refuses_is_not_charged_to_the_day
            o6_what_the_day_refuses_is_not_charged_to_the_window
            o6_the_reason_is_daily_with_its_wait_if_both_refuse
            o7_refusals_by_the_window_and_by_the_day_are_offences
            o7_neither_a_users_action_nor_oauth_is_ever_an_offence
            o8_an_outage_is_answered_right_after_o1_and_changes_nothing
        ]);
        $crate::suite!(@rules $roomy, $when, timeline: [
            m1_what_does_not_get_past_o2_moves_no_mark
            m1_a_peek_stores_nothing
            m1_a_blocked_request_moves_the_mark
            m1_a_refund_takes_its_reading_like_a_decision
            m2_a_reading_less_than_a_second_late_is_decided_at_its_own_time
            m2_the_mark_moves_by_a_second_or_more
            m2_a_jump_of_less_than_two_years_is_believed_at_once
            m3_time_stands_still_while_readings_are_a_second_late_or_more
            m3_a_clock_that_was_set_back_is_believed_after_10_s
            m3_a_jump_of_two_years_or_more_is_believed_after_10_s
            m3_one_usual_reading_makes_the_outliers_be_forgotten
            m3_outliers_are_counted_from_the_earliest_of_them
            m3_utc_does_not_stand_still
            m3_time_stands_still_at_the_end_of_all_time
            two_clocks_10_s_apart_used_alternately_pass_no_limit
            readings_30_h_apart_refill_no_day
            a_reading_from_before_a_wait_opens_no_window
            clocks_apart_by_less_than_a_second_share_one_window
            any_mixture_of_two_clocks_with_late_readings_passes_no_limit
        ]);
        $crate::suite!(@rules $roomy, $when, window: [
            w1_a_window_opens_at_the_first_admitted_request
            w1_a_window_is_half_open
            w1_a_window_belongs_to_one_token
            w2_a_cost_fits_up_to_the_limit_and_not_beyond
            w2_the_largest_limit_is_counted_to_its_end
            w3_the_quota_is_that_after_the_decision
            w3_remaining_is_never_below_0_also_when_the_limit_was_lowered
            w4_the_wait_is_the_reset_and_is_exact
            w5_an_idle_token_has_its_whole_allowance_however_long_it_was_idle
            w6_behind_its_start_the_window_stands_as_it_is
            w6_expiry_is_stored_also_by_what_can_never_fit
            w6_a_blocked_token_stores_no_expiry
            w6_a_wait_is_at_most_2_s_longer_than_the_window
            w7_a_counter_that_wraps_loses_no_window_and_grants_none
            w8_the_user_interface_is_charged_like_the_api
        ]);
        $crate::suite!(@rules $roomy, $when, daily: [
            d1_only_writes_of_an_api_token_from_the_api_count_daily
            d2_the_count_belongs_to_the_user
            d3_strict_refuses_what_goes_beyond_the_limit
            d3_advisory_never_refuses_and_counts_on
            d3_fair_use_tolerates_some_days_and_refuses_on_the_next
            d3_fair_use_with_no_tolerated_day_refuses_the_first_request_beyond
            d3_fair_use_with_the_most_tolerated_days_refuses_on_the_next
            d3_fair_use_makes_the_strike_whichever_limit_refuses
            d3_fair_use_forgives_once_enough_refills_have_followed_the_last_strike
            d4_daily_left_is_reported_for_what_counts_daily_admitted_or_not
            d5_the_wait_is_until_midnight_utc
            d5_with_unknown_utc_the_wait_is_what_is_left_of_24_h
            d5_the_wait_is_at_least_until_the_next_advance_is_allowed
            d5_the_wait_is_at_least_the_windows_if_that_refuses_too
            d5_the_wait_is_at_most_24_h
            d11_two_integrations_that_made_350_100_and_100_writes_leave_9450
        ]);
        $crate::suite!(@rules $roomy, $when, calendar: [
            d6_a_user_of_another_accounting_day_starts_at_0
            d6_accounting_days_are_told_apart_by_refills_not_by_the_days_number
            d6_every_decision_past_o2_feeds_the_calendar_before_anything_is_evaluated
            d7_the_first_known_utc_is_adopted_and_refills_nothing
            d7_utc_below_the_floor_and_from_2_to_the_39_on_is_unknown
            d7_an_adoption_starts_the_24_h_anew
            d8_a_greater_utc_day_advances_to_it_at_midnight_and_refills_once
            d9_a_step_back_over_midnight_refills_nothing
            d9_a_day_that_is_still_smaller_after_24_h_is_advanced_to
            d9_a_wall_clock_that_stands_still_refills_nothing
            d10_utc_unknown_for_24_h_advances_by_one
            d10_an_unknown_reading_in_between_changes_nothing
            d10_goes_on_past_the_last_day_that_utc_can_name
            d10b_the_first_advance_has_no_bound_the_next_ones_are_23_h_apart
            d10b_a_sane_clock_is_never_delayed_also_when_midnight_is_met_late
            d10b_a_hostile_wall_clock_mints_no_more_than_its_bound_in_any_span
        ]);
        $crate::suite!(@rules $roomy, $when, block: [
            b1_offences_within_a_period_add_up_to_a_block
            b1_an_offence_at_or_after_the_periods_end_opens_a_new_one
            b1_offences_are_counted_per_token
            b2_the_offence_that_starts_the_block_is_refused_for_its_own_reason
            b2_the_preset_blocks_for_300_s_after_100_offences
            b3_everything_is_refused_until_the_blocks_end_and_nothing_is_counted
            b3_a_hit_extends_the_block_if_the_policy_says_so
            b4_when_the_block_ends_there_are_no_offences_and_window_and_day_are_as_they_were
            b5_only_api_tokens_are_ever_blocked
            b5_a_block_stays_with_a_row_that_is_an_access_token_meanwhile_and_does_not_hold_it
            b1_an_offence_at_a_time_behind_the_periods_start_is_one_of_it
            b6_a_block_that_has_ended_is_forgotten_and_does_not_come_back_with_the_time
            a_policy_without_a_block_blocks_nobody
        ]);
        $crate::suite!(@rules $roomy, $when, decision: [
            h1_the_pages_example_of_an_advanced_account_to_the_letter
            h1_the_41st_request_of_2_s_is_a_429_with_the_pages_body
            every_reason_has_the_status_headers_and_body_of_the_table
            h2_seconds_are_rounded_up_and_never_0
            h3_the_ietf_fields_and_the_problem_are_there_on_request
            h4_header_values_are_made_of_computed_integers_alone
        ]);
        $crate::suite!(@rules $roomy, $when, operations: [
            p1_peek_says_what_check_would_say_and_changes_nothing
            p2_a_refund_goes_back_to_the_window_and_to_the_day
            p2_a_window_that_has_ended_gets_nothing_back
            p2_a_refund_never_brings_a_window_below_0_used
            p2_a_refund_with_a_late_reading_finds_its_window_open
            p2_an_accounting_day_that_is_over_gets_nothing_back
            p2_a_refund_feeds_no_calendar
            p2_permits_go_back_to_the_user_who_was_charged
            p2_what_passes_uncharged_or_not_at_all_carries_no_receipt
            p3_a_change_of_plan_limit_or_policy_keeps_what_is_used
            p3_a_new_policy_changes_the_limits_of_plans_at_once
            p3_a_policy_that_lacks_a_plan_in_use_is_refused_and_changes_nothing
            p4_a_revoked_token_is_unknown_and_its_users_count_stays
            p4_registering_again_resumes_an_open_window
            p4_revoking_and_registering_lifts_neither_block_nor_offences
            p4_a_revoked_token_that_is_like_new_leaves_no_row
            p4_user_and_kind_change_only_when_a_revoked_token_is_registered_again
            registering_a_known_token_again_takes_over_its_limit_alone
            what_no_policy_allows_is_registered_by_no_one
            unblock_lifts_a_block_and_nothing_else
            the_next_reset_is_the_end_of_the_block_else_of_the_window
            decisions_are_counted_by_outcome
        ]);
    };
    (@rules $subject:ty, $when:expr, $chapter:ident: [$($rule:ident)*]) => {
        mod $chapter {
            #[expect(unused_imports, reason = "the subject may be one of the prelude's")]
            use super::*;
            $(
                #[test]
                fn $rule() {
                    if $when {
                        $crate::rules::$chapter::$rule::<$subject>();
                    }
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    /// The rules of a chapter, in its order.
    fn rules(source: &str) -> Vec<&str> {
        source
            .lines()
            .filter_map(|line| line.strip_prefix("pub fn "))
            .filter_map(|line| line.split_once('<'))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn every_rule_is_listed() {
        let list = include_str!("macros.rs");
        let mut count = 0;
        for (chapter, source) in [
            ("order", include_str!("rules/order.rs")),
            ("window", include_str!("rules/window.rs")),
            ("daily", include_str!("rules/daily.rs")),
            ("calendar", include_str!("rules/calendar.rs")),
            ("block", include_str!("rules/block.rs")),
            ("decision", include_str!("rules/decision.rs")),
            ("operations", include_str!("rules/operations.rs")),
            ("table", include_str!("rules/table.rs")),
        ] {
            let start = format!(", {chapter}: [");
            let (_, rest) = list.split_once(&start).expect("every chapter is listed");
            let (listed, _) = rest.split_once("]").expect("the list ends");
            let listed: Vec<&str> = listed.split_whitespace().collect();
            assert_eq!(listed, rules(source), "{chapter}");
            count += listed.len();
        }
        assert!(count > 90, "{count}");
    }
}
