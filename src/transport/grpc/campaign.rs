//! A stream of answers over many customers: page by page, what is scarce to those with whom it is worth most.

use crate::application::customers::{Customers, Selection};
use crate::application::ingest::Ingest;
use crate::application::recommend::offers::{Allotment, Proposal, promise_all};
use crate::application::recommend::{Question, Recommender, Who};
use crate::domain::{CustomerId, Position};
use crate::proto::v1;
use crate::transport::grpc::recommendation::{render, stream_binding};
use crate::transport::grpc::work::{Ended, Outlet};

/// Customers that are read at a time for a stream.
const CAMPAIGN_PAGE: usize = 256;

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
        let mut at = Some(from);
        while let Some(from) = at {
            let (next, asked) = self.propose(from, allotment.as_ref(), outlet)?;
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
            at = next;
        }
        Ok(())
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
        let mut at = Some(from);
        while let Some(from) = at {
            let (next, asked) = self.propose(from, None, outlet)?;
            for ((customer, _), proposal) in asked {
                proposal.bid(&customer, &mut bidding);
            }
            at = next;
        }
        Ok(Some(bidding.settle()))
    }

    /// One page of customers with what could be answered to them, and where the next one begins.
    fn propose(
        &self,
        from: u64,
        allotment: Option<&Allotment>,
        outlet: &Outlet<v1::StreamRecommendationsResponse>,
    ) -> Result<(Option<u64>, Vec<Asked>), Ended> {
        outlet.check()?;
        let page = self.customers.list(from, CAMPAIGN_PAGE, &self.selection)?;
        let mut question = self.question.clone();
        let mut asked = Vec::with_capacity(page.items.len());
        for profile in page.items {
            let (Who::Customer(customer), Some(place)) = (&profile.who, profile.position) else {
                continue;
            };
            let customer = customer.clone();
            question.who = profile.who;
            let proposal = self.recommender.propose_within(&question, allotment)?;
            asked.push(((customer, place), proposal));
            outlet.check()?;
        }
        Ok((page.next, asked))
    }
}

/// A customer, the position to go on after, and what could be answered.
type Asked = ((CustomerId, Position), Proposal);
