//! All integration tests, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot unwrap has failed; only functions marked as tests are exempt"
)]

mod architecture;
mod clock;
mod closed_loop;
mod csv_edge;
mod dashboard;
mod dashboard_browser;
mod dashboard_pages;
mod dashboard_sample;
mod due;
mod evaluate;
mod evaluate_offers;
mod evaluate_offline;
mod harness;
mod http_client;
mod http_export;
mod http_guard;
mod http_story;
mod import;
mod journal_contract;
mod journal_damage;
mod journal_erase;
mod journal_kill;
mod journal_speed;
mod journal_stories;
mod journey_fold;
mod journey_speed;
mod offer_choice;
mod offer_kill;
mod offer_ledger;
mod pain_points;
mod personas;
mod python_client;
mod recipes;
mod service_damage;
mod service_kill;
mod settings;
mod simulated_answers;
mod simulated_shop;
mod simulated_tastes;
mod simulation;
mod state_derived;
mod state_fold;
mod wire_bad_input;
mod wire_bad_offers;
mod wire_campaign;
mod wire_decisions;
mod wire_expressions;
mod wire_guard;
mod wire_journey;
mod wire_lifecycle;
mod wire_offers;
mod wire_places;
mod wire_raw;
mod wire_story;
mod wire_story_bulk;
mod wire_story_choice;
mod wire_story_customers;
mod wire_story_models;
mod wire_story_offers;
mod wire_story_tokens;
mod wire_story_writes;
mod wire_trails;
