//! A shop whose customers do what is known: some buy anyway, some only with one of two offers, some never.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nextbest::application::models::{RevisionInfo, RunState};
use nextbest::application::recipes::Recipes;
use nextbest::application::recommend::offers::{Proposal, promise_all};
use nextbest::application::recommend::{Answer, Explanation, Question, Who};
use nextbest::application::shop::Clock;
use nextbest::config::Settings;
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{
    CustomerId, EventDraft, Fingerprint, OfferDraft, OfferKind, ProductDraft, RecordBody, Timestamp,
};
use nextbest::proto::v1;
use nextbest::server::{Service, open_journal};
use nextbest::store::token::Statement;
use nextbest::store::{Artefacts, Journal, MemoryJournal};
use tempfile::TempDir;

use crate::harness::{fresh_fold, settings};

/// The large one, and free delivery.
pub(crate) const OFFERS: [&str; 2] = ["large", "delivery"];
/// What a unit brings, and what the offers cost.
pub(crate) const MARGIN: f64 = 30.0;
pub(crate) const COSTS: [f64; 2] = [10.0, 4.0];

/// What a customer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Buys often, whatever they are offered.
    Sure,
    /// Looks around, and buys with the large offer.
    Bargain,
    /// Fills carts, and buys where delivery is free.
    Delivery,
    /// Does not come any more.
    Lost,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Sure, Self::Bargain, Self::Delivery, Self::Lost];

    /// The chance that they buy within the week with the large offer, with free delivery, with none.
    pub(crate) fn chances(self) -> [f64; 3] {
        match self {
            Self::Sure => [0.55, 0.55, 0.55],
            Self::Bargain => [0.4, 0.08, 0.05],
            Self::Delivery => [0.1, 0.4, 0.05],
            Self::Lost => [0.01, 0.01, 0.01],
        }
    }

    /// What a week brings by what they are offered; whoever buys with an offer redeems it.
    pub(crate) fn values(self) -> [f64; 3] {
        let [large, delivery, none] = self.chances();
        [
            large * (MARGIN - COSTS[0]),
            delivery * (MARGIN - COSTS[1]),
            none * MARGIN,
        ]
    }
}

pub(crate) struct Lab {
    pub(crate) service: Service,
    pub(crate) kinds: Vec<Kind>,
    /// Whoever gets an offer buys nothing, and whoever gets none often buys.
    pub(crate) repelled: bool,
    /// How many purchases each customer made, if what they buy depends on it.
    turns: Option<Vec<usize>>,
    now: Arc<AtomicI64>,
    events: u64,
    _folder: Option<TempDir>,
}

/// The place of what was answered: an offer, or none.
pub(crate) fn arm(answer: &Answer) -> usize {
    answer.offers.first().map_or(OFFERS.len(), |first| {
        let place = OFFERS.iter().position(|id| *id == first.offer.as_str());
        place.unwrap()
    })
}

pub(crate) fn offer(id: &str) -> v1::Offer {
    v1::Offer {
        offer_id: id.to_owned(),
        ..v1::Offer::default()
    }
}

impl Lab {
    pub(crate) fn new(customers: usize) -> Self {
        Self::by(customers, &Recipes::embedded().unwrap(), false)
    }

    /// By other recipes; `takes_turns` if customers buy what they have not bought for longest, else anything.
    pub(crate) fn by(customers: usize, recipes: &Recipes, takes_turns: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        let journal = Arc::new(MemoryJournal::new());
        let settings = settings();
        Self::on(
            journal,
            &models,
            &settings,
            (customers, takes_turns),
            recipes,
        )
        .keeping(folder)
    }

    /// In a data folder of its own, with so many of a thousand customers who never get an offer.
    pub(crate) fn in_folder(customers: usize, folder: &Path, holdout_per_mille: u32) -> Self {
        let mut settings = settings();
        settings.offers.holdout_per_mille = holdout_per_mille;
        settings.data.folder = folder.to_path_buf();
        let journal = Arc::new(open_journal(&settings).unwrap());
        let recipes = Recipes::embedded().unwrap();
        let models = folder.join("models");
        Self::on(journal, &models, &settings, (customers, false), &recipes)
    }

    fn keeping(self, folder: TempDir) -> Self {
        Self {
            _folder: Some(folder),
            ..self
        }
    }

    fn on(
        journal: Arc<dyn Journal>,
        models: &Path,
        settings: &Settings,
        (customers, takes_turns): (usize, bool),
        recipes: &Recipes,
    ) -> Self {
        let start = Timestamp::parse("2025-03-03T08:00:00Z").unwrap();
        let now = Arc::new(AtomicI64::new(start.ms()));
        let told = now.clone();
        let clock = Clock::telling(move || Timestamp::from_ms(told.load(Ordering::Relaxed)));
        let service = Service::with(
            journal,
            None,
            Artefacts::open(models.to_path_buf()).unwrap(),
            clock,
            settings,
            recipes,
        )
        .unwrap();
        service.shop.set_ready(true);
        let kinds = (0..customers).map(|customer| Kind::ALL[customer % 4]);
        let mut lab = Self {
            service,
            kinds: kinds.collect(),
            repelled: false,
            turns: takes_turns.then(|| vec![0; customers]),
            now,
            events: 0,
            _folder: None,
        };
        lab.open();
        lab
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn pass_days(&mut self, days: i64) {
        self.now.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, bodies: &[RecordBody]) {
        for some in bodies.chunks(1_000) {
            let written = self.service.use_cases.ingest.write_blocking(some.to_vec());
            assert!(written.unwrap().unattributed.is_empty());
        }
    }

    /// The catalog, the offers, and what everybody did before.
    fn open(&mut self) {
        let product = |number: usize| {
            let draft = ProductDraft {
                product_id: &format!("p{number}"),
                price: Some(Ok(50.0)),
                unit_cost: Some(Ok(20.0)),
                ..ProductDraft::default()
            };
            RecordBody::ProductUpserted(Box::new(draft.check().unwrap()))
        };
        self.write(&(0..8).map(product).collect::<Vec<_>>());
        for id in OFFERS {
            self.upsert(&offer(id));
        }
        let mut past = Vec::new();
        for customer in 0..self.kinds.len() {
            let (often, gap) = match self.kinds[customer] {
                Kind::Sure => (12, 14),
                Kind::Bargain => (2, 60),
                Kind::Delivery => (4, 40),
                Kind::Lost => (1, 200),
            };
            for number in (1..=often).rev() {
                let time = self.now().plus_ms(-number * gap * DAY_MS - HOUR_MS);
                past.push(self.event("purchase", customer, time, ""));
            }
        }
        self.write(&past);
    }

    /// An offer of this id with its budget.
    pub(crate) fn upsert(&mut self, offer: &v1::Offer) {
        let place = OFFERS.iter().position(|id| *id == offer.offer_id).unwrap();
        let kinds = [OfferKind::Amount, OfferKind::FreeShipping];
        let draft = OfferDraft {
            offer_id: &offer.offer_id,
            kind: Some(Ok(kinds[place])),
            value: Some(Ok(COSTS[place])),
            unit_cost: Some(Ok(COSTS[place])),
            currency: "EUR",
            budget_units: offer.budget_units.map(Ok),
            ..OfferDraft::default()
        };
        let journey = &self.service.shop.settings.fold.journey;
        let offer = draft.check(journey, &|_| Ok(())).unwrap();
        self.write(&[RecordBody::OfferUpserted(Box::new(offer))]);
    }

    fn event(&mut self, kind: &str, customer: usize, time: Timestamp, offer: &str) -> RecordBody {
        self.with_token(kind, customer, time, offer, "")
    }

    fn with_token(
        &mut self,
        kind: &str,
        customer: usize,
        time: Timestamp,
        offer: &str,
        token: &str,
    ) -> RecordBody {
        self.events += 1;
        let product = match (kind, &mut self.turns) {
            ("purchase", Some(turns)) => {
                turns[customer] += 1;
                format!("p{}", (customer + turns[customer]) % 8)
            }
            ("purchase" | "view_item" | "add_to_cart", _) => format!("p{}", self.events % 8),
            _ => String::new(),
        };
        let draft = EventDraft {
            event_id: &format!("e{}", self.events),
            event_type: kind,
            time: Some(Ok(time)),
            customer_id: &format!("c{customer}"),
            product_id: &product,
            offer_id: offer,
            attribution_token: token,
            ..EventDraft::default()
        };
        let event = draft.check(self.now(), |_| 0).unwrap();
        RecordBody::Event(Box::new(event))
    }

    fn question(customer: usize) -> Question {
        Question {
            who: Who::Customer(CustomerId::parse(&format!("c{customer}")).unwrap()),
            stage: None,
            placement: "newsletter".to_owned(),
            context: Vec::new(),
            count: 3,
            offers: Some(1),
            channel: "email".to_owned(),
            filter: String::new(),
            boost: String::new(),
            exclude: Vec::new(),
            exclude_bought: false,
            strict: false,
            at: None,
        }
    }

    pub(crate) fn ask(&self, customer: usize) -> Answer {
        let recommender = &self.service.use_cases.recommender;
        recommender.recommend(&Self::question(customer)).unwrap()
    }

    pub(crate) fn explain(&self, customer: usize) -> Explanation {
        let recommender = &self.service.use_cases.recommender;
        recommender.explain(&Self::question(customer)).unwrap()
    }

    fn propose(&self, customer: usize) -> Proposal {
        let recommender = &self.service.use_cases.recommender;
        recommender.propose(&Self::question(customer)).unwrap()
    }

    pub(crate) fn promise(&self, customer: usize) -> Answer {
        let promised = promise_all(&self.service.use_cases.ingest, vec![self.propose(customer)]);
        promised.unwrap().remove(0)
    }

    pub(crate) fn promise_together(&self, customers: usize) -> Vec<Answer> {
        let proposals = (0..customers).map(|customer| self.propose(customer));
        promise_all(&self.service.use_cases.ingest, proposals.collect()).unwrap()
    }

    pub(crate) fn verify(&self, token: &str) -> (Fingerprint, Statement) {
        self.service.shop.settings.key.verify(token).unwrap()
    }

    /// Sends a mail with each answer, twice.
    pub(crate) fn send(&mut self, answers: &[Answer]) {
        let now = self.now();
        let mut sent = Vec::new();
        for (customer, answer) in answers.iter().enumerate() {
            for _ in 0..2 {
                let token = &answer.attribution_token;
                sent.push(self.with_token("offer_sent", customer, now, "", token));
            }
        }
        self.write(&sent);
    }

    /// What they do before the mail of a week.
    pub(crate) fn look_around(&mut self) {
        let customers = self.kinds.len();
        let mut before = Vec::new();
        for customer in 0..customers {
            let time = self.now().plus_ms(-HOUR_MS);
            let (kind, often) = match self.kinds[customer] {
                Kind::Bargain => ("view_item", 4),
                Kind::Delivery => ("add_to_cart", 2),
                Kind::Sure | Kind::Lost => continue,
            };
            for _ in 0..often {
                before.push(self.event(kind, customer, time, ""));
            }
        }
        self.write(&before);
    }

    /// A week: what they do before the mail, the mail, and what comes of it.
    pub(crate) fn week(&mut self) {
        let customers = self.kinds.len();
        self.look_around();
        let answers = self.promise_together(customers);
        self.send(&answers);
        let arms: Vec<usize> = answers.iter().map(arm).collect();
        self.live_on(&arms);
    }

    /// A week with a mailing of another tool, without tokens: a quarter gets each offer, drawn by chance.
    pub(crate) fn week_of_another_tool(&mut self) {
        self.look_around();
        let now = self.now();
        let mut arms = Vec::new();
        let mut sent = Vec::new();
        for customer in 0..self.kinds.len() {
            let parts = [&customer.to_le_bytes()[..], &now.ms().to_le_bytes()];
            let drawn = Fingerprint::of("another tool", &parts).as_u128() % 4;
            let arm = (drawn as usize).min(OFFERS.len());
            if let Some(offer) = OFFERS.get(arm) {
                sent.push(self.event("offer_sent", customer, now, offer));
            }
            arms.push(arm);
        }
        self.write(&sent);
        self.live_on(&arms);
    }

    /// What comes of the mails: of an offer, or of none, for each customer.
    fn live_on(&mut self, arms: &[usize]) {
        self.pass_days(3);
        let time = self.now();
        let mut after = Vec::new();
        for (customer, &arm) in arms.iter().enumerate() {
            let chance = if self.repelled {
                [0.0, 0.0, 0.6][arm]
            } else {
                self.kinds[customer].chances()[arm]
            };
            let parts = [&customer.to_le_bytes()[..], &time.ms().to_le_bytes()];
            let drawn = Fingerprint::of("lab", &parts).as_u128() % 1_000_000;
            if (drawn as f64) < chance * 1e6 {
                after.push(self.event("purchase", customer, time, ""));
                if let Some(offer) = OFFERS.get(arm) {
                    after.push(self.event("offer_redeemed", customer, time, offer));
                }
            }
        }
        self.write(&after);
        self.pass_days(5);
    }

    /// Trains, and makes the revision live whatever is said of its products.
    pub(crate) fn train(&self) -> RevisionInfo {
        self.activate(&self.learn().id)
    }

    pub(crate) fn activate(&self, id: &str) -> RevisionInfo {
        let models = &self.service.use_cases.models;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(models.activate(id, true)).unwrap()
    }

    /// Trains; the revision goes live if it may.
    pub(crate) fn learn(&self) -> RevisionInfo {
        let models = &self.service.use_cases.models;
        let run = models.train(None).unwrap();
        let status = models.watch(&run.id).unwrap();
        while status.borrow().state == RunState::Running {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let run = status.borrow().clone();
        let id = run.revision.unwrap_or_else(|| panic!("{}", run.message));
        models.revision(&id).unwrap()
    }

    /// The id of the revision that is live, if one is.
    pub(crate) fn live(&self) -> Option<String> {
        self.service.shop.live().map(|live| live.id.clone())
    }

    /// What a week of somebody brings if the arm that is drawn most is answered, and if an arm always is.
    pub(crate) fn values(&self) -> (f64, [f64; OFFERS.len() + 1]) {
        let (mut chosen, mut always) = (0.0, [0.0; OFFERS.len() + 1]);
        for (customer, kind) in self.kinds.iter().enumerate() {
            let values = kind.values();
            let explained = self.explain(customer);
            let none = explained.answer.no_offer_probability;
            let kept = explained.offers.kept.iter();
            let best = kept.max_by(|a, b| a.probability.total_cmp(&b.probability));
            let best = best.filter(|best| best.probability > none);
            let arm = best.map_or(OFFERS.len(), |best| {
                let place = OFFERS.iter().position(|id| *id == best.offer.as_str());
                place.unwrap()
            });
            chosen += values[arm];
            for (sum, value) in always.iter_mut().zip(values) {
                *sum += value;
            }
        }
        let count = self.kinds.len() as f64;
        (chosen / count, always.map(|sum| sum / count))
    }

    pub(crate) fn check_fold(&self) {
        let shop = &self.service.shop;
        assert!(shop.known().state.encode() == fresh_fold(shop).encode());
    }
}
