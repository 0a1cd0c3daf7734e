//! CEL expressions over products, customers and the request: filters and boosts.

mod compiled;
mod fields;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, ExecutionError, IdedExpr, Program, Value};

pub use self::compiled::Compiled;
use crate::application::error::AppError;
use crate::application::next_stage::Propensities;
use crate::application::outlook::Outlook;
use crate::domain::journey::Journey;
use crate::domain::{Health, Timestamp};
use crate::state::book::Book;
use crate::state::products::Item;
use crate::state::subjects::Subject;

/// The longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 2_048;
/// A boost is at least this.
pub const MIN_BOOST: f64 = 0.01;
/// A boost is at most this.
pub const MAX_BOOST: f64 = 100.0;

/// How long one expression may take over everything it is asked about, from when it was compiled: State
/// is held meanwhile.
const MOST_TIME: Duration = Duration::from_secs(1);

/// What an expression must give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// True or false.
    Truth,
    /// A factor from [`MIN_BOOST`] to [`MAX_BOOST`].
    Factor,
}

/// A compiled expression. Its cost is bounded: by its length, and because a macro (`all`, `exists`, `map`, …) may not
/// stand inside another, nor work on what another made; and it is given one second over all products.
#[derive(Debug, Clone)]
pub struct Expression {
    program: Arc<Program>,
    field: &'static str,
    until: Instant,
}

/// The values an expression is about; those that are absent are not set.
#[derive(Debug, Default)]
pub struct Scope {
    customer: Option<Value>,
    request: Option<Value>,
}

impl Expression {
    /// Compiles a filter over the variables in `allowed` (of `product`, `customer`, `request`); nothing for a blank
    /// text.
    ///
    /// # Errors
    /// `InvalidExpression` with the place and what would be right. What cannot be computed for everybody (a field that
    /// is absent, a number that is no text) is no fault; what never gives true or false is one.
    pub fn filter(text: &str, allowed: &[&str]) -> Result<Option<Self>, AppError> {
        Self::compile("filter", text, allowed, Gives::Truth)
    }

    /// Compiles what says who may have an offer, as [`Expression::filter`], over `customer` and `request`.
    ///
    /// # Errors
    /// As those of a filter.
    pub fn eligibility(text: &str) -> Result<Option<Self>, AppError> {
        Self::compile("eligibility", text, &["customer", "request"], Gives::Truth)
    }

    /// Compiles what says who is in a segment, as [`Expression::filter`], over `customer`.
    ///
    /// # Errors
    /// As those of a filter.
    pub fn segment(text: &str) -> Result<Option<Self>, AppError> {
        Self::compile("expression", text, &["customer"], Gives::Truth)
    }

    /// Compiles a boost, as [`Expression::filter`].
    ///
    /// # Errors
    /// As those of a filter; what never gives a number, and a constant that is out of range, are faults.
    pub fn boost(text: &str, allowed: &[&str]) -> Result<Option<Self>, AppError> {
        Self::compile("boost", text, allowed, Gives::Factor)
    }

    fn compile(
        field: &'static str,
        text: &str,
        allowed: &[&str],
        gives: Gives,
    ) -> Result<Option<Self>, AppError> {
        let invalid = |reason: String| AppError::InvalidExpression { field, reason };
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.len() > MAX_EXPRESSION_BYTES {
            let size = text.len();
            return Err(invalid(format!(
                "{size} bytes; at most {MAX_EXPRESSION_BYTES} are allowed"
            )));
        }
        let program = Program::compile(text).map_err(|error| invalid(error.to_string()))?;
        let mut check = Check {
            allowed,
            locals: Vec::new(),
            macros_around: 0,
            is_constant: true,
        };
        check.visit(program.expression()).map_err(invalid)?;
        let expression = Self {
            program: Arc::new(program),
            field,
            until: Instant::now() + MOST_TIME,
        };
        match expression.sure_fault(gives, check.is_constant) {
            Some(reason) => Err(invalid(reason)),
            None => Ok(Some(expression)),
        }
    }

    /// What is wrong with the expression whomever it is asked about: it has the wrong type for each of the samples, or
    /// it is a constant that is out of range.
    fn sure_fault(&self, gives: Gives, is_constant: bool) -> Option<String> {
        let mut found = None;
        for (scope, product) in fields::samples() {
            let fault = match self.execute(&scope, Some(product)) {
                Ok(value) => match gives {
                    Gives::Truth => self.truth(&value).err(),
                    // another product may bring a number into range
                    Gives::Factor => match self.factor_of(&value) {
                        Err(OffFactor::Range(reason)) if is_constant => Some(reason),
                        Err(OffFactor::Type(reason)) => Some(reason),
                        _ => None,
                    },
                },
                Err(error) => is_of_type(&error).then(|| error.to_string()),
            };
            found = Some(fault?);
        }
        found
    }

    /// True if the expression is true of a product (or of a customer, without one).
    ///
    /// # Errors
    /// If it cannot be computed for it: a field is absent, or of another type than the expression takes it for.
    pub fn holds(&self, scope: &Scope, product: Option<Value>) -> Result<bool, String> {
        self.truth(&self.evaluate(scope, product)?)
    }

    fn truth(&self, value: &Value) -> Result<bool, String> {
        match value {
            Value::Bool(holds) => Ok(*holds),
            other => Err(format!(
                "{} must give true or false, not a {}",
                self.field,
                other.type_of()
            )),
        }
    }

    /// The factor for a product, from [`MIN_BOOST`] to [`MAX_BOOST`].
    ///
    /// # Errors
    /// As [`Expression::holds`], or if it is no number in range.
    pub fn factor(&self, scope: &Scope, product: Value) -> Result<f64, String> {
        let value = self.evaluate(scope, Some(product))?;
        self.factor_of(&value)
            .map_err(|(OffFactor::Type(reason) | OffFactor::Range(reason))| reason)
    }

    fn factor_of(&self, value: &Value) -> Result<f64, OffFactor> {
        let factor = match value {
            Value::Float(factor) => *factor,
            Value::Int(factor) => *factor as f64,
            Value::UInt(factor) => *factor as f64,
            other => {
                let (field, found) = (self.field, other.type_of());
                let reason = format!("{field} must give a number, not a {found}");
                return Err(OffFactor::Type(reason));
            }
        };
        if (MIN_BOOST..=MAX_BOOST).contains(&factor) {
            Ok(factor)
        } else {
            let field = self.field;
            let reason = format!("{field} must give {MIN_BOOST} to {MAX_BOOST}, not {factor}");
            Err(OffFactor::Range(reason))
        }
    }

    /// The fault of an expression that cannot be computed, as the caller gets it.
    #[must_use]
    pub fn fault(&self, reason: String) -> AppError {
        AppError::InvalidExpression {
            field: self.field,
            reason,
        }
    }

    /// True if the time for it is over: it is not evaluated any more.
    #[must_use]
    pub fn is_late(&self) -> bool {
        Instant::now() > self.until
    }

    fn evaluate(&self, scope: &Scope, product: Option<Value>) -> Result<Value, String> {
        if self.is_late() {
            let most = MOST_TIME.as_millis();
            return Err(format!(
                "{} must give its answers within {most} ms",
                self.field
            ));
        }
        self.execute(scope, product)
            .map_err(|error| error.to_string())
    }

    fn execute(&self, scope: &Scope, product: Option<Value>) -> Result<Value, ExecutionError> {
        self.program.execute(&scope.context(product))
    }

    /// As [`Expression::holds`] without a product, for many expressions about the same.
    ///
    /// # Errors
    /// As [`Expression::holds`].
    pub fn holds_in(&self, prepared: &Prepared) -> Result<bool, String> {
        if Instant::now() > prepared.until {
            let most = MOST_TIME.as_millis();
            return Err(format!("the answers must be given within {most} ms"));
        }
        let value = self.program.execute(&prepared.context);
        self.truth(&value.map_err(|error| error.to_string())?)
    }
}

/// Why a value is no factor.
enum OffFactor {
    /// No number.
    Type(String),
    /// A number, but too small or too large.
    Range(String),
}

/// True if an error follows from the types alone: other values of the same types would fail as well.
fn is_of_type(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::NoSuchOverload(_)
            | ExecutionError::UndeclaredReference(_)
            | ExecutionError::MissingArgumentOrTarget
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedIndex(..)
    )
}

/// A scope that many expressions are asked about: making it ready takes longer than asking. All of them together have
/// the time of one.
pub struct Prepared {
    context: Context<'static, 'static>,
    until: Instant,
}

impl Scope {
    /// Ready for many expressions.
    #[must_use]
    pub fn prepare(&self) -> Prepared {
        Prepared {
            context: self.context(None),
            until: Instant::now() + MOST_TIME,
        }
    }

    fn context(&self, product: Option<Value>) -> Context<'static, 'static> {
        let mut context = Context::default();
        let values = [
            ("product", product),
            ("customer", self.customer.clone()),
            ("request", self.request.clone()),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                context.add_variable_from_value(name, value);
            }
        }
        context
    }

    /// Of a question.
    #[must_use]
    pub fn new(customer: Value, placement: &str, stage: &str, channel: &str) -> Self {
        let request = object([
            ("placement", placement.into()),
            ("stage", stage.into()),
            ("channel", channel.into()),
        ]);
        Self {
            customer: Some(customer),
            request: Some(request),
        }
    }

    /// Of a customer alone.
    #[must_use]
    pub fn of_customer(customer: Value) -> Self {
        Self {
            customer: Some(customer),
            request: None,
        }
    }
}

/// A product as expressions see it.
#[must_use]
pub fn product_value(item: &Item, now: Timestamp) -> Value {
    let mut fields: Vec<(&str, Value)> = vec![
        ("id", (&*item.id).into()),
        ("basket_count", i64::from(item.baskets).into()),
    ];
    if let Some(listing) = &item.listing {
        let path: Vec<Value> = listing
            .category
            .iter()
            .map(|level| (&**level).into())
            .collect();
        fields.extend([
            ("name", (&*listing.name).into()),
            (
                "category",
                listing
                    .category
                    .join(crate::domain::catalog::CATEGORY_SEPARATOR)
                    .into(),
            ),
            ("category_path", path.into()),
            ("brand", (&*listing.brand).into()),
            ("available", listing.available.into()),
            ("attributes", texts(&listing.attributes)),
        ]);
        fields.extend(listing.price.map(|price| ("price", price.units().into())));
        fields.extend(
            listing
                .unit_cost
                .map(|cost| ("unit_cost", cost.units().into())),
        );
        fields.extend(
            listing
                .currency
                .map(|currency| ("currency", currency.as_str().into())),
        );
        let age = listing.created_at.map(|created| now.days_since(created));
        fields.extend(age.map(|days| ("created_days_ago", days.into())));
    }
    object(fields)
}

/// A customer as expressions see them, with what else is said of them; somebody unknown has `known == false`
/// and counts of 0. Of `propensity` only what can be said is there.
#[must_use]
pub fn customer_value(
    subject: Option<&Subject>,
    journey: &Journey,
    outlook: &Outlook,
    now: Timestamp,
) -> Value {
    let steps = subject.map_or(&[][..], |subject| &subject.steps);
    let stage = journey.name(journey.stage_at(steps, now));
    let rated = subject.and_then(|subject| subject.habits.rated);
    let needs_recovery = journey.recovery.due(rated, now).is_some();
    let book = subject.and_then(|subject| subject.book.as_deref());
    let campaigns = book.map_or(&[][..], Book::campaigns).iter();
    let campaigns: Vec<Value> = campaigns.map(|(_, name)| (&**name).into()).collect();
    let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let mut fields: Vec<(&str, Value)> = vec![
        ("known", subject.is_some().into()),
        ("stage", stage.into()),
        ("persona", outlook.persona.as_str().into()),
        ("propensity", propensity(&outlook.propensities)),
        ("needs_recovery", needs_recovery.into()),
        ("health", outlook.health.map_or("", Health::as_str).into()),
        ("campaigns", campaigns.into()),
        ("id", subject.map_or("", |subject| &subject.id).into()),
        (
            "traits",
            subject.map_or_else(|| texts(&[]), |subject| texts(&subject.traits)),
        ),
        (
            "order_count",
            count(subject.map_or(0, |subject| subject.orders)),
        ),
        (
            "event_count",
            count(subject.map_or(0, |subject| subject.events)),
        ),
        (
            "product_count",
            count(subject.map_or(0, |subject| subject.distinct.into())),
        ),
    ];
    let ordered = subject.and_then(Subject::last_basket);
    fields.extend(ordered.map(|last| ("days_since_last_order", now.days_since(last).into())));
    let seen = subject.and_then(|subject| subject.seen);
    fields.extend(seen.map(|(_, last)| ("days_since_last_event", now.days_since(last).into())));
    object(fields)
}

fn propensity(said: &Propensities) -> Value {
    let all = [
        ("buy", said.buy),
        ("abandon_cart", said.abandon_cart),
        ("lapse", said.lapse),
    ];
    let told = all
        .into_iter()
        .filter_map(|(name, said)| Some((name, said?.into())));
    object(told)
}

fn texts(pairs: &[(Box<str>, Box<str>)]) -> Value {
    object(pairs.iter().map(|(key, value)| (&**key, (&**value).into())))
}

fn object<'k>(fields: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let map: HashMap<String, Value> = fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    map.into()
}

/// Looks for what an expression must not hold.
struct Check<'a> {
    allowed: &'a [&'a str],
    /// The variables of the macro around.
    locals: Vec<String>,
    macros_around: u32,
    /// No variable was found: it is the same whomever it is asked about.
    is_constant: bool,
}

impl Check<'_> {
    fn visit(&mut self, node: &IdedExpr) -> Result<(), String> {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => {
                call.target
                    .iter()
                    .try_for_each(|target| self.visit(target))?;
                call.args.iter().try_for_each(|arg| self.visit(arg))
            }
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map
                .entries
                .iter()
                .try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(_) => Err("messages cannot be built here".to_owned()),
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr
                    && !self.locals.contains(name)
                {
                    self.variable(name)?;
                    return fields::check(name, &select.field);
                }
                self.visit(&select.operand)
            }
            Expr::Comprehension(inner) => {
                // neither inside nor on what another one made: what is built would grow with every one
                if self.macros_around > 0 {
                    return Err("a macro may not stand inside another".to_owned());
                }
                self.macros_around += 1;
                self.visit(&inner.iter_range)?;
                self.locals = vec![inner.iter_var.clone(), inner.accu_var.clone()];
                self.locals.extend(inner.iter_var2.clone());
                let parts = [
                    &inner.accu_init,
                    &inner.loop_cond,
                    &inner.loop_step,
                    &inner.result,
                ];
                parts.into_iter().try_for_each(|part| self.visit(part))?;
                self.locals.clear();
                self.macros_around -= 1;
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key)?;
                self.visit(&entry.value)
            }
        }
    }

    fn variable(&mut self, name: &str) -> Result<(), String> {
        if self.locals.iter().any(|local| local == name) {
            Ok(())
        } else if self.allowed.contains(&name) {
            self.is_constant = false;
            Ok(())
        } else {
            Err(format!(
                "unknown name {name}; there are {}",
                self.allowed.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &["product", "customer", "request"];

    fn check(text: &str, expected: Result<bool, &str>) {
        let product = object([
            ("price", 20.0.into()),
            ("brand", "Acme".into()),
            (
                "category_path",
                vec![Value::from("Audio"), Value::from("Headphones")].into(),
            ),
        ]);
        let scope = Scope::new(
            object([("order_count", Value::Int(3))]),
            "home",
            "decision",
            "",
        );
        let found = Expression::filter(text, ALL)
            .map_err(|error| error.to_string())
            .and_then(|compiled| compiled.unwrap().holds(&scope, Some(product)));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn expressions_say_what_holds() {
        check("product.price < 50.0 && product.brand == 'Acme'", Ok(true));
        check("customer.order_count > 3", Ok(false));
        check(
            "request.placement == 'home' && request.stage == 'decision'",
            Ok(true),
        );
        check(
            "product.category_path.exists(level, level == 'Audio')",
            Ok(true),
        );
        check("'Audio' in product.category_path", Ok(true));
        check("has(product.unit_cost)", Ok(false));
    }

    #[test]
    fn faults_say_what_would_be_right() {
        check("product.prize < 50.0", Err("it has id, name"));
        check(
            "produkt.price < 50.0",
            Err("there are product, customer, request"),
        );
        check("product.price <", Err("filter"));
        check("product.price", Err("must give true or false"));
        check("product.unit_cost > 1.0", Err("unit_cost"));
        check("[1].all(a, [2].all(b, a < b))", Err("inside another"));
        check(
            "[1].map(a, a + a).map(a, a + a).size() > 0",
            Err("inside another"),
        );
        check(
            "([1].map(a, a) + [2]).exists(a, a == 1)",
            Err("inside another"),
        );
        check(&"!".repeat(3_000), Err("bytes"));
        check(
            &format!("{}true{}", "(".repeat(500), ")".repeat(500)),
            Err("Recursion limit"),
        );
    }

    #[test]
    fn an_expression_is_given_a_second() {
        let mut late = Expression::filter("true", ALL).unwrap().unwrap();
        assert_eq!(late.holds(&Scope::default(), None), Ok(true));
        late.until = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(late.is_late());
        let fault = late.holds(&Scope::default(), None).unwrap_err();
        assert!(fault.contains("within 1000 ms"), "{fault}");
    }

    #[test]
    fn boosts_are_bounded() {
        let product = || object([("price", 20.0.into())]);
        let factor = |text: &str| {
            let compiled = Expression::boost(text, ALL).map_err(|error| error.to_string())?;
            compiled.unwrap().factor(&Scope::default(), product())
        };
        assert!((factor("1.5").unwrap() - 1.5).abs() < 1e-12);
        assert!((factor("2").unwrap() - 2.0).abs() < 1e-12);
        for text in ["0.0", "1e9", "0.0 / 0.0", "product.price * 100.0"] {
            let fault = factor(text).unwrap_err();
            assert!(fault.contains("must give 0.01 to 100"), "{text}: {fault}");
        }
        assert!(factor("'a'").is_err());
    }

    #[test]
    fn what_is_wrong_for_everybody_is_found_without_anybody() {
        let filters = [
            ("product.price", "must give true or false, not a float"),
            ("customer.traits", "must give true or false, not a map"),
            ("product.category_path", "not a list"),
            ("product.name > 5", ""),
            ("product.price.startsWith('a')", ""),
            ("likely(product.price)", "likely"),
            ("product.name.matches('[a-z]+')", "matches"),
            ("1", "not a int"),
        ];
        for (text, words) in filters {
            let fault = Expression::filter(text, ALL).unwrap_err().to_string();
            assert!(fault.contains(words), "{text}: {fault}");
        }
        let boosts = [
            ("product.price > 5.0", "must give a number, not a bool"),
            ("product.name", "must give a number, not a string"),
            ("1000", "must give 0.01 to 100, not 1000"),
            ("-1.0", "must give 0.01 to 100, not -1"),
            ("product.name * 2.0", ""),
        ];
        for (text, words) in boosts {
            let fault = Expression::boost(text, ALL).unwrap_err().to_string();
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }

    #[test]
    fn what_may_be_right_for_somebody_is_taken() {
        for text in [
            "product.attributes.size == 'L'",
            "product.attributes['size'] in ['L', 'M']",
            "has(product.attributes.size) && product.attributes.size == 'L'",
            "customer.traits.vip == 'true' || customer.order_count > 3",
            "product.category_path[3] == 'Audio'",
            "product.category_path.exists(level, level.startsWith('A'))",
            "int(customer.id) > 5",
            "int(product.attributes.weight) > 5",
            "100 / customer.order_count > 1",
            "product.name.startsWith('S')",
            "double(product.basket_count) > product.price",
            "product.price > 10",
            "product.price > 10.0 ? product.brand == 'Acme' : customer.known",
            "request.stage == 'decision' && product.available",
        ] {
            let found = Expression::filter(text, ALL);
            assert!(found.is_ok(), "{text}: {found:?}");
        }
        for text in [
            "product.price * 100.0",
            "customer.order_count",
            "product.price > 50.0 ? 2.0 : 1.0",
            "product.basket_count > 1000 ? 2 : 1.5",
            "double(product.attributes.weight)",
            "1.0 / product.unit_cost",
            "product.brand == 'Acme' ? 3.0 : 1.0",
        ] {
            let found = Expression::boost(text, ALL);
            assert!(found.is_ok(), "{text}: {found:?}");
        }
    }
}
