//! A stream of answers over many customers: page by page, what is scarce to those with whom it is worth most.

use std::num::NonZero;
use std::sync::mpsc;
use std::thread::Scope;

use crate::application::AppError;
use crate::application::customers::{Customers, Profile, Selection};
use crate::application::ingest::Ingest;
use crate::application::recommend::offers::{Allotment, Proposal, promise_all};
use crate::application::recommend::{Question, Recommender, Who};
use crate::domain::{CustomerId, Position};
use crate::proto::v1;
use crate::transport::grpc::recommendation::{render, stream_binding};
use crate::transport::grpc::work::{Ended, Outlet};

/// Customers that are read at a time for a stream.
const CAMPAIGN_PAGE: usize = 256;
/// The most threads of one campaign: the more there are, the longer others wait for theirs.
const MAX_THREADS: usize = 4;

/// A stream of answers over customers.
pub(super) struct Campaign {
    pub(super) recommender: Recommender,
    pub(super) ingest: Ingest,
    pub(super) customers: Customers,
    pub(super) selection: Selection,
    pub(super) question: Question,
    pub(super) fields: [String; 3],
}

impl Campaign {
    /// Goes over the customers page by page; every answer has the exact place to go on after it.
    pub(super) fn run(
        self,
        from: u64,
        outlet: &Outlet<v1::StreamRecommendationsResponse>,
    ) -> Result<(), Ended> {
        let fields = self.fields.each_ref().map(String::as_str);
        let binding = stream_binding(&fields);
        let allotment = self.allot(from, outlet)?;
        self.each_page(from, allotment.as_ref(), outlet, &mut |asked| {
            let (asked, proposals): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            // a page's reservations are written together; what is not sent is answered again to who resumes
            let answers = promise_all(&self.ingest, proposals)?;
            for ((customer, place), answer) in asked.into_iter().zip(answers) {
                outlet.send(v1::StreamRecommendationsResponse {
                    customer_id: customer.as_str().to_owned(),
                    response: Some(render(&answer)),
                    // also after the last one: those follow who became known since
                    resume_token: binding.token(Some(place.plus(1).0)),
                })?;
            }
            Ok(())
        })
    }

    /// Who gets the offers that are not there for everybody: all are asked before the first is answered. Who resumes
    /// competes with those that are left for what is left.
    fn allot(
        &self,
        from: u64,
        outlet: &Outlet<v1::StreamRecommendationsResponse>,
    ) -> Result<Option<Allotment>, Ended> {
        let Some(mut bidding) = self.recommender.bidding()? else {
            return Ok(None);
        };
        self.each_page(from, None, outlet, &mut |asked| {
            for ((customer, _), proposal) in asked {
                proposal.bid(&customer, &mut bidding);
            }
            Ok(())
        })?;
        Ok(Some(bidding.settle()))
    }

    /// Asks for everybody from a place on, on all cores, and hands each page to `take`, in order.
    fn each_page(
        &self,
        from: u64,
        allotment: Option<&Allotment>,
        outlet: &Outlet<v1::StreamRecommendationsResponse>,
        take: &mut dyn FnMut(Vec<Asked>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            let ask = |some: Vec<Target>| self.propose(some, allotment, outlet);
            let helpers = (1..cores.min(MAX_THREADS)).map(|_| Helper::start(scope, ask));
            let helpers: Vec<Helper> = helpers.collect();
            let mut at = Some(from);
            while let Some(from) = at {
                outlet.check()?;
                let page = self.customers.list(from, CAMPAIGN_PAGE, &self.selection)?;
                at = page.next;
                let targets = page.items.into_iter().filter_map(target);
                let mut rest: Vec<Target> = targets.collect();
                let part = rest.len().div_ceil(helpers.len() + 1);
                for helper in &helpers {
                    let later = rest.split_off(part.min(rest.len()));
                    helper.ask(std::mem::replace(&mut rest, later))?;
                }
                // this thread asks for the last part, meanwhile
                let own = ask(rest)?;
                let mut asked = Vec::with_capacity(CAMPAIGN_PAGE);
                for helper in &helpers {
                    asked.extend(helper.answer()?);
                }
                asked.extend(own);
                take(asked)?;
            }
            Ok(())
        })
    }

    /// What could be answered to some customers, in their order.
    fn propose(
        &self,
        targets: Vec<Target>,
        allotment: Option<&Allotment>,
        outlet: &Outlet<v1::StreamRecommendationsResponse>,
    ) -> Result<Vec<Asked>, Ended> {
        let mut question = self.question.clone();
        let mut asked = Vec::with_capacity(targets.len());
        for (customer, place) in targets {
            question.who = Who::Customer(customer.clone());
            let proposal = self.recommender.propose_within(&question, allotment)?;
            asked.push(((customer, place), proposal));
            outlet.check()?;
        }
        Ok(asked)
    }
}

/// A customer, and the position to go on after.
type Target = (CustomerId, Position);

fn target(profile: Profile) -> Option<Target> {
    let Who::Customer(customer) = profile.who else {
        return None;
    };
    Some((customer, profile.position?))
}

/// A thread that asks for some customers of each page; it ends with the campaign. It lives as long, so that the room it
/// works in is made once.
struct Helper {
    targets: mpsc::Sender<Vec<Target>>,
    asked: mpsc::Receiver<Result<Vec<Asked>, Ended>>,
}

impl Helper {
    fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        ask: impl Fn(Vec<Target>) -> Result<Vec<Asked>, Ended> + Send + 'scope,
    ) -> Self {
        let (targets, wanted) = mpsc::channel::<Vec<Target>>();
        let (done, asked) = mpsc::channel();
        scope.spawn(move || {
            // nobody waits any more if the campaign ended early
            while let Ok(some) = wanted.recv()
                && done.send(ask(some)).is_ok()
            {}
        });
        Self { targets, asked }
    }

    fn ask(&self, some: Vec<Target>) -> Result<(), Ended> {
        self.targets.send(some).map_err(|_| gone())
    }

    fn answer(&self) -> Result<Vec<Asked>, Ended> {
        self.asked.recv().map_err(|_| gone())?
    }
}

/// A thread that is gone has panicked, and its scope says so.
fn gone() -> Ended {
    Ended::With(AppError::Internal("a campaign panicked".to_owned()))
}

/// A customer, the position to go on after, and what could be answered.
type Asked = (Target, Proposal);
