"""The service as a client sees it that is not ours: grpcio, with stubs generated from `proto/`.

Run: TEST_BIN=path/to/nextbest python -m unittest discover -s tests/python -v
"""

import json
import math
import pathlib
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

import grpc
from google.protobuf import field_mask_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from service import ROOT, Service, generate_stubs, new_data_folder, read_error, time_of

DAY_S = 86_400
SERVICES = ["Recommendation", "Event", "Catalog", "Offer", "Customer", "Model"]
TRAIN_TIMEOUT_S = 120
KINDS = ["audio", "garden"]
PRODUCTS_OF_A_KIND = 6
CUSTOMERS = 60
ORDERS = 20


class Story(unittest.TestCase):
    """One process for each class; each story within it has customers and products of its own."""

    @classmethod
    def setUpClass(cls):
        cls.stubs = new_data_folder()
        cls.addClassCleanup(cls.stubs.cleanup)
        cls.v1 = generate_stubs(cls.stubs.name)
        cls.folder = new_data_folder()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.service = Service(cls.folder.name)
        cls.service.start()
        cls.addClassCleanup(cls.service.stop)
        cls.connect(cls.service.channel())
        cls.now = int(time.time())
        cls.write_shop()

    @classmethod
    def connect(cls, channel):
        cls.channel = channel
        cls.addClassCleanup(channel.close)
        cls.wait_until_serving()
        cls.recommendations = cls.v1.RecommendationServiceStub(channel)
        cls.events = cls.v1.EventServiceStub(channel)
        cls.catalog = cls.v1.CatalogServiceStub(channel)
        cls.offers = cls.v1.OfferServiceStub(channel)
        cls.customers = cls.v1.CustomerServiceStub(channel)
        cls.models = cls.v1.ModelServiceStub(channel)

    @classmethod
    def wait_until_serving(cls):
        health = health_pb2_grpc.HealthStub(cls.channel)
        for answer in health.Watch(health_pb2.HealthCheckRequest(), timeout=60):
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
        raise AssertionError("the service never served")

    @classmethod
    def write_shop(cls):
        """Products of two kinds, and customers who buy the same few of one kind again and again."""
        v1 = cls.v1
        products = [
            v1.Product(
                product_id=f"{kind}-{i}",
                name=f"{kind} {i}",
                category_path=["Shop", kind],
                brand="Acme" if i % 2 else "Other",
                price=10.0 * (i + 1),
                currency_code="EUR",
            )
            for kind in KINDS
            for i in range(PRODUCTS_OF_A_KIND)
        ]
        request = v1.BatchUpsertProductsRequest(products=products)
        assert cls.catalog.BatchUpsertProducts(request).written_count == len(products)
        assert cls.catalog.BatchUpsertProducts(request).unchanged_count == len(products)
        events = [
            cls.event(
                event_id=f"{event_type}-{customer}-{order}",
                event_type=event_type,
                customer_id=f"customer-{customer}",
                product_id=f"{KINDS[customer % 2]}-{(customer + order % 3) % PRODUCTS_OF_A_KIND}",
                event_time=time_of(cls.now - (ORDERS - order) * 3 * DAY_S + customer),
            )
            for order in range(ORDERS)
            for customer in range(CUSTOMERS)
            for event_type in ("view_item", "purchase")
        ]
        request = v1.WriteEventsRequest(events=events)
        assert cls.events.WriteEvents(request).written_count == len(events)
        again = cls.events.WriteEvents(request)
        assert (again.written_count, again.duplicate_count) == (0, len(events))

    @classmethod
    def event(cls, **fields):
        fields.setdefault("event_time", time_of(cls.now - 60))
        return cls.v1.Event(**fields)

    def refused(self, code, reason, call, *arguments, **options):
        """The violations of a call that must be refused."""
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call(*arguments, **options)
            if hasattr(answer, "__iter__"):
                list(answer)
        found = read_error(caught.exception)
        self.assertEqual((code, reason), found[:2], caught.exception.details())
        return found[2]

    def ids(self, **question):
        answer = self.recommendations.Recommend(self.v1.RecommendRequest(**question))
        return [product.product_id for product in answer.products]

    def count_of(self, customer):
        request = self.v1.ListEventsRequest(customer_id=customer)
        return len(self.events.ListEvents(request).events)


class TheServiceItself(Story):
    def test_health_is_told_for_every_service(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        for name in [""] + [f"nextbest.v1.{name}Service" for name in SERVICES]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            self.assertEqual(health_pb2.HealthCheckResponse.SERVING, answer.status)

    def test_reflection_knows_the_api(self):
        database = ProtoReflectionDescriptorDatabase(self.channel)
        for name in SERVICES:
            self.assertIn(f"nextbest.v1.{name}Service", database.get_services())
        file = database.FindFileContainingSymbol("nextbest.v1.RecommendRequest")
        self.assertEqual("nextbest/v1/recommendation.proto", file.name)

    def test_gzip_is_taken(self):
        stub = self.v1.CatalogServiceStub(self.channel)
        answer = stub.ListProducts(
            self.v1.ListProductsRequest(), compression=grpc.Compression.Gzip
        )
        self.assertGreaterEqual(len(answer.products), 12)

    def test_an_expired_deadline_says_so(self):
        request = self.v1.BatchRecommendRequest(
            requests=[self.v1.RecommendRequest(page_size=100)] * 1_000
        )
        with self.assertRaises(grpc.RpcError) as caught:
            self.recommendations.BatchRecommend(request, timeout=0.001)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, caught.exception.code())


class Questions(Story):
    def test_an_unknown_customer_gets_an_answer(self):
        for question in ({}, {"customer_id": "stranger"}, {"visitor_id": "stranger"}):
            request = self.v1.RecommendRequest(**question, page_size=3)
            answer = self.recommendations.Recommend(request)
            self.assertEqual(3, len(answer.products))
            self.assertEqual([1, 2, 3], [p.rank for p in answer.products])
            self.assertTrue(answer.fallback)
            self.assertTrue(all(math.isfinite(p.score) for p in answer.products))

    def test_a_known_customer_gets_reasons_and_a_stage_with_evidence(self):
        request = self.v1.RecommendRequest(customer_id="customer-0")
        answer = self.recommendations.Recommend(request)
        self.assertTrue(answer.products)
        self.assertTrue(any(p.reasons for p in answer.products))
        self.assertTrue(answer.stage.stage)
        self.assertTrue(answer.stage.evidence)
        self.assertFalse(answer.stage.named_by_caller)

    def test_a_named_stage_is_answered_for_and_an_unknown_one_refused(self):
        request = self.v1.RecommendRequest(customer_id="customer-0", stage="decision")
        answer = self.recommendations.Recommend(request)
        self.assertEqual(("decision", True), (answer.stage.stage, answer.stage.named_by_caller))
        request.stage = "no-such-stage"
        call = self.recommendations.Recommend
        violations = self.refused("INVALID_ARGUMENT", "UNKNOWN_STAGE", call, request)
        self.assertEqual({"stage": "UNKNOWN_NAME"}, violations)

    def test_filter_boost_and_exclusion(self):
        cheap = self.ids(customer_id="customer-0", filter="product.price <= 20.0", page_size=100)
        self.assertTrue(cheap)
        self.assertTrue(all(product[-1] in "01" for product in cheap), cheap)
        garden = self.ids(filter='product.category.startsWith("Shop > garden")', page_size=100)
        self.assertEqual(PRODUCTS_OF_A_KIND, len(garden))
        self.assertTrue(all(product.startswith("garden") for product in garden), garden)
        for brand, last in (("Acme", "135"), ("Other", "024")):
            best = self.ids(boost=f'product.brand == "{brand}" ? 100.0 : 0.01')[0]
            self.assertIn(best[-1], last)
            self.assertNotIn(best, self.ids(exclude_product_ids=[best], page_size=100))

    def test_context_counts_for_the_answer_and_is_not_stored(self):
        before = self.count_of("customer-5")
        request = self.v1.RecommendRequest(customer_id="customer-5", page_size=12)
        plain = self.recommendations.Recommend(request)
        for _ in range(3):
            request.context_events.add(event_type="add_to_cart", product_id="audio-1")
        live = self.recommendations.Recommend(request)
        self.assertNotEqual(
            [(p.product_id, p.score) for p in plain.products],
            [(p.product_id, p.score) for p in live.products],
        )
        self.assertTrue(any(e.from_request for e in live.stage.evidence))
        self.assertEqual(before, self.count_of("customer-5"))
        request.ClearField("context_events")
        again = self.recommendations.Recommend(request)
        # every answer is a decision of its own
        for answer in (plain, again):
            answer.ClearField("attribution_token")
        self.assertEqual(plain, again)

    def test_a_click_finds_its_answer_by_the_token(self):
        request = self.v1.RecommendRequest(customer_id="customer-7", placement="home")
        answer = self.recommendations.Recommend(request)
        fields = {
            "customer_id": "customer-7",
            "event_time": time_of(self.now),
            "attribution_token": answer.attribution_token,
        }
        events = [
            self.v1.Event(event_type="view_item_list", **fields),
            self.v1.Event(event_type="select_item", product_id=answer.products[0].product_id, **fields),
            self.v1.Event(event_type="page_view", **fields),
        ]
        written = self.events.WriteEvents(self.v1.WriteEventsRequest(events=events))
        self.assertEqual((3, {"NO_OUTCOME": 1}), (written.written_count, dict(written.unattributed)))
        outcomes = self.recommendations.GetRecommendationOutcomes(
            self.v1.GetRecommendationOutcomesRequest()
        )
        counts = outcomes.by_stage[answer.stage.stage]
        self.assertEqual(len(answer.products), counts.impression_count)
        self.assertEqual(1, counts.click_count)

    def test_a_batch_answers_each_in_order(self):
        requests = [
            self.v1.RecommendRequest(customer_id="customer-1", page_size=2),
            self.v1.RecommendRequest(page_size=-1),
            self.v1.RecommendRequest(filter="product.price >"),
        ]
        request = self.v1.BatchRecommendRequest(requests=requests)
        results = self.recommendations.BatchRecommend(request).results
        self.assertEqual(2, len(results[0].response.products))
        errors = [(r.error.code, r.error.reason) for r in results[1:]]
        self.assertEqual([(3, "INVALID_FIELDS"), (3, "INVALID_EXPRESSION")], errors)

    def test_a_stream_goes_on_where_it_broke(self):
        template = self.v1.RecommendRequest(page_size=2)
        request = self.v1.StreamRecommendationsRequest(
            template=template, customer_filter="customer.order_count > 0"
        )
        whole = list(self.recommendations.StreamRecommendations(request))
        self.assertEqual(CUSTOMERS, len({answer.customer_id for answer in whole}))
        broken = self.recommendations.StreamRecommendations(request)
        first = [next(broken), next(broken), next(broken)]
        broken.cancel()
        request.resume_token = first[-1].resume_token
        rest = list(self.recommendations.StreamRecommendations(request))
        self.assertEqual(
            [answer.customer_id for answer in whole],
            [answer.customer_id for answer in first + rest],
        )

    def test_an_explanation_names_kept_and_dropped(self):
        request = self.v1.RecommendRequest(
            customer_id="customer-0", exclude_product_ids=["audio-0"]
        )
        answer = self.recommendations.ExplainRecommendation(request)
        self.assertTrue(answer.kept)
        self.assertIn(("audio-0", "EXCLUDED"), [(d.product_id, d.code) for d in answer.dropped])

    def test_validate_only_answers_nothing(self):
        request = self.v1.RecommendRequest(validate_only=True)
        self.assertEqual([], list(self.recommendations.Recommend(request).products))


class Events(Story):
    def test_a_page_goes_on_after_the_page_before(self):
        found, token = [], ""
        while True:
            request = self.v1.ListEventsRequest(
                customer_id="customer-2", page_size=15, page_token=token
            )
            page = self.events.ListEvents(request)
            self.assertLessEqual(len(page.events), 15)
            found += [event.event_id for event in page.events]
            token = page.next_page_token
            if not token:
                break
            other = self.v1.ListEventsRequest(customer_id="customer-3", page_token=token)
            call = self.events.ListEvents
            self.refused("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", call, other)
        self.assertEqual(2 * ORDERS, len(found))
        self.assertEqual(2 * ORDERS, len(set(found)))

    def test_a_bulk_import_is_written_in_batches(self):
        def batch(first):
            return self.v1.StreamEventsRequest(
                events=[
                    self.event(event_id=f"bulk-{i}", event_type="page_view", customer_id="bulk")
                    for i in range(first, first + 10)
                ]
            )

        answer = self.events.StreamEvents(iter([batch(0), batch(10), batch(0)]))
        self.assertEqual(3, answer.batch_count)
        self.assertEqual((20, 10), (answer.written_count, answer.duplicate_count))

    def test_validate_only_stores_nothing(self):
        event = self.event(event_type="page_view", customer_id="customer-6")
        before = self.count_of("customer-6")
        self.events.WriteEvents(self.v1.WriteEventsRequest(events=[event], validate_only=True))
        self.assertEqual(before, self.count_of("customer-6"))


class Products(Story):
    def test_a_product_from_creation_to_deletion(self):
        v1, catalog = self.v1, self.catalog
        product = v1.Product(product_id="lamp", name="Lamp", price=5.0, currency_code="EUR")
        catalog.CreateProduct(v1.CreateProductRequest(product=product))
        again = v1.CreateProductRequest(product=product)
        self.refused("ALREADY_EXISTS", "PRODUCT_EXISTS", catalog.CreateProduct, again)
        update = v1.UpdateProductRequest(
            product=v1.Product(product_id="lamp", name="Desk lamp"),
            update_mask=field_mask_pb2.FieldMask(paths=["name"]),
        )
        changed = catalog.UpdateProduct(update)
        self.assertEqual(("Desk lamp", 5.0), (changed.name, changed.price))
        newer = v1.SetInventoryRequest(
            product_id="lamp", set_time=time_of(self.now), available=False, price=4.0
        )
        self.assertFalse(catalog.SetInventory(newer).available)
        older = v1.SetInventoryRequest(
            product_id="lamp", set_time=time_of(self.now - 60), available=True
        )
        self.assertFalse(catalog.SetInventory(older).available)
        self.assertNotIn("lamp", self.ids(page_size=100))
        catalog.DeleteProduct(v1.DeleteProductRequest(product_id="lamp"))
        get = v1.GetProductRequest(product_id="lamp")
        self.refused("NOT_FOUND", "PRODUCT_NOT_FOUND", catalog.GetProduct, get)


class Offers(Story):
    def test_an_offer_from_creation_to_deletion_and_back(self):
        v1, offers = self.v1, self.offers
        offer = v1.Offer(
            offer_id="fifth",
            kind=v1.OFFER_KIND_PERCENTAGE,
            value=20.0,
            campaign_id="spring",
            stages=["decision"],
            eligibility="customer.order_count > 2",
        )
        made = offers.CreateOffer(v1.CreateOfferRequest(offer=offer))
        self.assertEqual(v1.OFFER_STATE_LIVE, made.state)
        sent = self.event(event_type="offer_sent", customer_id="customer-1", offer_id="fifth")
        self.events.WriteEvents(v1.WriteEventsRequest(events=[sent]))
        paused = offers.PauseOffer(v1.PauseOfferRequest(offer_id="fifth"))
        self.assertEqual((v1.OFFER_STATE_PAUSED, 1), (paused.state, paused.outcomes.sent_count))
        offers.ResumeOffer(v1.ResumeOfferRequest(offer_id="fifth"))
        faulty = v1.Offer(offer_id="x", kind=v1.OFFER_KIND_COUPON, value=1.0, stages=["sleep"])
        violations = self.refused(
            "INVALID_ARGUMENT",
            "INVALID_FIELDS",
            offers.CreateOffer,
            v1.CreateOfferRequest(offer=faulty),
        )
        self.assertEqual({"offer.value", "offer.stages"}, set(violations))
        offers.DeleteOffer(v1.DeleteOfferRequest(offer_id="fifth"))
        list_spring = v1.ListOffersRequest(campaign_id="spring")
        self.assertEqual(0, len(offers.ListOffers(list_spring).offers))
        offers.UndeleteOffer(v1.UndeleteOfferRequest(offer_id="fifth"))
        found = offers.ListOffers(list_spring).offers
        self.assertEqual(["fifth"], [offer.offer_id for offer in found])

    def test_an_offer_is_reserved_and_redeemed_once(self):
        v1, offers = self.v1, self.offers
        offer = v1.Offer(
            offer_id="limited",
            kind=v1.OFFER_KIND_AMOUNT,
            value=1.0,
            currency_code="EUR",
            budget_units=1_000,
        )
        offers.CreateOffer(v1.CreateOfferRequest(offer=offer))

        def ask(customer):
            request = v1.RecommendRequest(customer_id=customer, max_offers=10)
            answer = self.recommendations.Recommend(request)
            found = [o for o in answer.offers if o.offer_id == "limited"]
            return found[0] if found else None

        # some customers are held out of offers; not all of them
        customers = [f"held-{number}" for number in range(50)]
        customer = next(customer for customer in customers if ask(customer))
        reserved = ask(customer)
        self.assertEqual(reserved, ask(customer))
        redeem = v1.RedeemOfferRequest(reservation_id=reserved.reservation_id)
        already = [offers.RedeemOffer(redeem).already_redeemed for _ in range(2)]
        self.assertEqual([False, True], already)
        usage = offers.GetOfferUsage(v1.GetOfferUsageRequest(offer_id="limited"))
        self.assertEqual(1, usage.redeemed_units)
        self.assertEqual(1_000 - 1 - usage.reserved_units, usage.free_units)


class Customers(Story):
    def test_a_visitor_becomes_a_customer_and_is_exported_and_erased(self):
        v1, customers = self.v1, self.customers
        events = [
            self.event(event_type="view_item", visitor_id="anna-phone", product_id="audio-1"),
            self.event(event_type="purchase", customer_id="anna", product_id="audio-2"),
        ]
        self.events.WriteEvents(v1.WriteEventsRequest(events=events))
        traits = v1.UpsertCustomerRequest(customer_id="anna", traits={"country": "NL"})
        customers.UpsertCustomer(traits)
        identify = v1.IdentifyVisitorRequest(visitor_id="anna-phone", customer_id="anna")
        self.assertTrue(customers.IdentifyVisitor(identify).changed)
        self.assertFalse(customers.IdentifyVisitor(identify).changed)
        known = customers.GetCustomer(v1.GetCustomerRequest(visitor_id="anna-phone"))
        self.assertEqual(("anna", 2, 1), (known.customer_id, known.event_count, known.order_count))
        parts = list(customers.ExportCustomer(v1.ExportCustomerRequest(customer_id="anna")))
        self.assertEqual("customer", parts[0].WhichOneof("part"))
        self.assertEqual("NL", parts[0].customer.traits["country"])
        self.assertEqual(2, sum(part.WhichOneof("part") == "event" for part in parts))
        self.assertIn("anna-phone", [part.visitor_id for part in parts])
        erase = v1.EraseCustomerRequest(customer_id="anna")
        self.assertGreaterEqual(customers.EraseCustomer(erase).erased_record_count, 2)
        self.assertEqual(0, customers.EraseCustomer(erase).erased_record_count)
        for subject in ({"customer_id": "anna"}, {"visitor_id": "anna-phone"}):
            get = v1.GetCustomerRequest(**subject)
            self.refused("NOT_FOUND", "CUSTOMER_NOT_FOUND", customers.GetCustomer, get)
        self.assertEqual(0, self.count_of("anna"))

    def test_customers_are_listed_by_page_and_filter(self):
        filter = f"customer.order_count == {ORDERS}"
        found, token = [], ""
        while True:
            request = self.v1.ListCustomersRequest(page_size=25, page_token=token, filter=filter)
            page = self.customers.ListCustomers(request)
            found += [customer.customer_id for customer in page.customers]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(CUSTOMERS, len(found))
        self.assertEqual({f"customer-{i}" for i in range(CUSTOMERS)}, set(found))


class Models(Story):
    def train(self, seed):
        """The last state of a run, watched to its end."""
        v1, models = self.v1, self.models
        run = models.TrainModels(v1.TrainModelsRequest(seed=seed))
        watch = v1.WatchTrainingRunRequest(training_run_id=run.training_run_id)
        states = list(models.WatchTrainingRun(watch, timeout=TRAIN_TIMEOUT_S))
        self.assertTrue(all(0 <= state.progress <= 1 for state in states))
        last = states[-1]
        self.assertEqual(v1.TrainingRun.SUCCEEDED, last.state, last.message)
        cancel = v1.CancelTrainingRunRequest(training_run_id=run.training_run_id)
        self.assertEqual(last.state, models.CancelTrainingRun(cancel).state)
        return last

    def activate(self, revision):
        v1, models = self.v1, self.models
        made = models.GetModelRevision(v1.GetModelRevisionRequest(model_revision_id=revision))
        activate = v1.ActivateModelRevisionRequest(model_revision_id=revision)
        if made.state == v1.ModelRevision.REFUSED:
            self.assertTrue(made.refusal)
            call = models.ActivateModelRevision
            self.refused("FAILED_PRECONDITION", "MODEL_REVISION_REFUSED", call, activate)
        activate.force = True
        live = models.ActivateModelRevision(activate)
        self.assertEqual(v1.ModelRevision.LIVE, live.state)
        request = v1.RecommendRequest(customer_id="customer-0")
        self.assertEqual(revision, self.recommendations.Recommend(request).model_revision)

    def test_revisions_are_made_activated_and_rolled_back(self):
        v1, models = self.v1, self.models
        call = models.RollBackModel
        self.refused("FAILED_PRECONDITION", "NO_PREVIOUS_REVISION", call, v1.RollBackModelRequest())
        first = self.train(seed=7)
        second = self.train(seed=8)
        runs = models.ListTrainingRuns(v1.ListTrainingRunsRequest(page_size=1))
        self.assertEqual(second.training_run_id, runs.training_runs[0].training_run_id)
        self.assertTrue(runs.next_page_token)
        listed = models.ListModelRevisions(v1.ListModelRevisionsRequest()).model_revisions
        made = {first.model_revision, second.model_revision}
        self.assertEqual(2, len(made))
        self.assertEqual(made, {revision.model_revision_id for revision in listed})
        self.assertTrue(all(revision.figures for revision in listed))
        self.activate(first.model_revision)
        self.activate(second.model_revision)
        back = models.RollBackModel(v1.RollBackModelRequest())
        self.assertEqual(first.model_revision, back.model_revision_id)
        self.assertEqual(v1.ModelRevision.LIVE, back.state)

    def test_what_there_is_not_is_not_found(self):
        v1, models = self.v1, self.models
        run = {"training_run_id": "no-such-run"}
        revision = {"model_revision_id": "no-such-revision"}
        for call, request in (
            (models.GetTrainingRun, v1.GetTrainingRunRequest(**run)),
            (models.WatchTrainingRun, v1.WatchTrainingRunRequest(**run)),
            (models.CancelTrainingRun, v1.CancelTrainingRunRequest(**run)),
        ):
            self.refused("NOT_FOUND", "TRAINING_RUN_NOT_FOUND", call, request)
        for call, request in (
            (models.GetModelRevision, v1.GetModelRevisionRequest(**revision)),
            (models.ActivateModelRevision, v1.ActivateModelRevisionRequest(**revision)),
        ):
            self.refused("NOT_FOUND", "MODEL_REVISION_NOT_FOUND", call, request)


class BadInput(Story):
    def test_bad_events_are_refused_and_nothing_is_stored(self):
        good = {
            "event_type": "purchase",
            "customer_id": "bad-input",
            "product_id": "audio-1",
            "event_time": time_of(self.now),
        }
        cases = [
            ({"event_type": "bought"}, "event_type", "UNKNOWN_NAME"),
            ({"event_time": time_of(253_370_764_800)}, "event_time", "IN_THE_FUTURE"),
            ({"event_time": time_of(-2_208_988_800)}, "event_time", "TOO_OLD"),
            ({"unit_price": math.nan}, "unit_price", "NOT_A_NUMBER"),
            ({"unit_price": math.inf}, "unit_price", "NOT_A_NUMBER"),
            ({"unit_price": -1.0}, "unit_price", "OUT_OF_RANGE"),
            ({"quantity": -1.0}, "quantity", "OUT_OF_RANGE"),
            ({"product_id": "x" * 1_000_000}, "product_id", "TOO_LONG"),
            ({"product_id": "a\0b"}, "product_id", "BAD_CHARACTER"),
            ({"currency_code": "euro"}, "currency_code", "BAD_CURRENCY"),
        ]
        for change, field, reason in cases:
            with self.subTest(field=field, reason=reason):
                events = [self.v1.Event(**good), self.v1.Event(**{**good, **change})]
                request = self.v1.WriteEventsRequest(events=events)
                call = self.events.WriteEvents
                violations = self.refused("INVALID_ARGUMENT", "INVALID_FIELDS", call, request)
                self.assertEqual({f"events[1].{field}": reason}, violations)
        self.assertEqual(0, self.count_of("bad-input"))

    def test_too_much_is_refused(self):
        v1, write = self.v1, self.events.WriteEvents
        event = self.event(event_type="page_view", customer_id="too-much")
        many = v1.WriteEventsRequest(events=[event] * 10_001)
        self.refused("INVALID_ARGUMENT", "BATCH_TOO_LARGE", write, many)
        self.refused("INVALID_ARGUMENT", "BATCH_EMPTY", write, v1.WriteEventsRequest())
        large = self.event(event_type="page_view", customer_id="c", search_query="x" * 10_000_000)
        large = v1.WriteEventsRequest(events=[large])
        self.refused("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", write, large)
        self.assertEqual(0, self.count_of("too-much"))

    def test_bad_expressions_are_refused(self):
        v1 = self.v1
        cases = [
            ("filter", self.recommendations.Recommend, v1.RecommendRequest(filter="1 +")),
            ("boost", self.recommendations.Recommend, v1.RecommendRequest(boost="(((")),
            ("filter", self.catalog.ListProducts, v1.ListProductsRequest(filter="1 +")),
            ("filter", self.customers.ListCustomers, v1.ListCustomersRequest(filter="1 +")),
        ]
        for field, call, request in cases:
            with self.subTest(call=request.DESCRIPTOR.name, field=field):
                found = self.refused("INVALID_ARGUMENT", "INVALID_EXPRESSION", call, request)
                self.assertEqual([field], list(found))

    def test_bytes_that_are_no_message_are_refused(self):
        call = self.channel.unary_unary("/nextbest.v1.EventService/WriteEvents")
        self.refused("INVALID_ARGUMENT", "MALFORMED_MESSAGE", call, b"\x0a\xff\x01")
        call = self.channel.unary_unary("/nextbest.v1.EventService/NoSuchMethod")
        self.refused("UNIMPLEMENTED", "METHOD_NOT_FOUND", call, b"")


class Email(Story):
    """The scripts of docs/email.md, with the HTTP client of the standard library."""

    def script(self, *arguments):
        text = (ROOT / "docs" / "email.md").read_text(encoding="utf-8")
        code = text.split("```python\n")[1].split("```")[0]
        path = pathlib.Path(self.folder.name).with_suffix(".py")
        path.write_text(code, encoding="utf-8")
        self.addCleanup(path.unlink, missing_ok=True)
        command = [sys.executable, "-B", str(path), self.service.http, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_the_campaign_script_gets_the_same_answers_again(self):
        v1 = self.v1
        offer = v1.Offer(
            offer_id="spring",
            kind=v1.OFFER_KIND_AMOUNT,
            value=1.0,
            currency_code="EUR",
            budget_units=1_000,
        )
        self.offers.CreateOffer(v1.CreateOfferRequest(offer=offer))
        customers = [f"customer-{number}" for number in range(20)]
        first = self.script("spring.send-1", *customers)
        self.assertEqual(0, first.returncode, first.stderr)
        again = self.script("spring.send-1", *customers)
        self.assertEqual(first.stdout, again.stdout)
        lines = [json.loads(line) for line in first.stdout.splitlines()]
        self.assertEqual(customers, [line[0] for line in lines])
        self.assertTrue(all(len(line[1]) == 3 for line in lines))
        # some customers are held out of offers; not all of them
        offered = [line[0] for line in lines if line[2]]
        self.assertTrue(offered)
        sent = self.offers.GetOffer(v1.GetOfferRequest(offer_id="spring")).outcomes.sent_count
        self.assertEqual(len(offered), sent)
        usage = self.offers.GetOfferUsage(v1.GetOfferUsageRequest(offer_id="spring"))
        self.assertEqual(len(offered), usage.reserved_units)

    def test_a_campaign_script_hears_what_is_wrong_with_its_question(self):
        refused = self.script("x" * 129, "customer-1")
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("decision_key: 129 bytes", refused.stderr)

    def test_a_cache_is_told_that_nothing_has_changed(self):
        url = f"{self.service.http}/v1/recommendations?customer_id=customer-2&decision_key=k"
        with urllib.request.urlopen(url, timeout=10) as answer:
            tag = answer.headers["ETag"]
            self.assertIn("private, max-age=", answer.headers["Cache-Control"])
        request = urllib.request.Request(url, headers={"If-None-Match": tag})
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        self.assertEqual(304, caught.exception.code)
        caught.exception.close()


class Kill(Story):
    def test_what_was_acknowledged_survives_a_kill(self):
        event = self.event(event_type="page_view", customer_id="survivor", event_id="survivor-1")
        self.events.WriteEvents(self.v1.WriteEventsRequest(events=[event]))
        self.service.kill()
        self.service.start()
        self.connect(self.service.channel())
        self.assertEqual(1, self.count_of("survivor"))
        self.assertEqual(2 * ORDERS, self.count_of("customer-0"))


if __name__ == "__main__":
    unittest.main()
