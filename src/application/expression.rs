//! CEL expressions over products, customers and the request: filters and boosts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, IdedExpr, Program, Value};

use crate::application::error::AppError;
use crate::domain::Timestamp;
use crate::domain::journey::Journey;
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

const PRODUCT: &[&str] = &[
    "id",
    "name",
    "category",
    "category_path",
    "brand",
    "price",
    "currency",
    "unit_cost",
    "available",
    "attributes",
    "basket_count",
    "created_days_ago",
];
const CUSTOMER: &[&str] = &[
    "id",
    "known",
    "traits",
    "stage",
    "order_count",
    "event_count",
    "product_count",
    "days_since_last_order",
    "days_since_last_event",
];
const REQUEST: &[&str] = &["placement", "stage"];

/// A compiled expression. Its cost is bounded: by its length, and because a macro (`all`, `exists`, `map`, …) may not
/// stand inside another, nor work on what another made; and it is given one second over all products.
#[derive(Debug)]
pub struct Expression {
    program: Program,
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
    /// Compiles an expression over the variables in `allowed` (of `product`, `customer`, `request`);
    /// nothing for a blank one.
    ///
    /// # Errors
    /// `InvalidExpression` with the place and what would be right.
    pub fn compile(
        field: &'static str,
        text: &str,
        allowed: &[&str],
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
        };
        check.visit(program.expression()).map_err(invalid)?;
        Ok(Some(Self {
            program,
            field,
            until: Instant::now() + MOST_TIME,
        }))
    }

    /// True if the expression is true of a product (or of a customer, without one).
    ///
    /// # Errors
    /// If it cannot be computed for it: a field is absent, or of another type than the expression takes it for.
    pub fn holds(&self, scope: &Scope, product: Option<Value>) -> Result<bool, String> {
        match self.evaluate(scope, product)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(format!(
                "{} must give true or false, not {other:?}",
                self.field
            )),
        }
    }

    /// The factor for a product, from [`MIN_BOOST`] to [`MAX_BOOST`].
    ///
    /// # Errors
    /// As [`Expression::holds`], or if it is no number in range.
    pub fn factor(&self, scope: &Scope, product: Value) -> Result<f64, String> {
        let factor = match self.evaluate(scope, Some(product))? {
            Value::Float(factor) => factor,
            Value::Int(factor) => factor as f64,
            Value::UInt(factor) => factor as f64,
            other => return Err(format!("{} must give a number, not {other:?}", self.field)),
        };
        if (MIN_BOOST..=MAX_BOOST).contains(&factor) {
            Ok(factor)
        } else {
            Err(format!(
                "{} must give {MIN_BOOST} to {MAX_BOOST}, not {factor}",
                self.field
            ))
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
        let mut context = Context::default();
        let values = [
            ("product", product),
            ("customer", scope.customer.clone()),
            ("request", scope.request.clone()),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                context.add_variable_from_value(name, value);
            }
        }
        self.program
            .execute(&context)
            .map_err(|error| error.to_string())
    }
}

impl Scope {
    /// Of a question.
    #[must_use]
    pub fn new(customer: Value, placement: &str, stage: &str) -> Self {
        let request = object([("placement", placement.into()), ("stage", stage.into())]);
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

/// A customer as expressions see them; somebody unknown has `known == false` and counts of 0.
#[must_use]
pub fn customer_value(subject: Option<&Subject>, journey: &Journey, now: Timestamp) -> Value {
    let steps = subject.map_or(&[][..], |subject| &subject.steps);
    let stage = journey.name(journey.stage_at(steps, now));
    let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let mut fields: Vec<(&str, Value)> = vec![
        ("known", subject.is_some().into()),
        ("stage", stage.into()),
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
                    return known_field(name, &select.field);
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

    fn variable(&self, name: &str) -> Result<(), String> {
        if self.allowed.contains(&name) || self.locals.iter().any(|local| local == name) {
            Ok(())
        } else {
            Err(format!(
                "unknown name {name}; there are {}",
                self.allowed.join(", ")
            ))
        }
    }
}

fn known_field(variable: &str, field: &str) -> Result<(), String> {
    let known = match variable {
        "product" => PRODUCT,
        "customer" => CUSTOMER,
        "request" => REQUEST,
        _ => return Ok(()),
    };
    if known.contains(&field) {
        Ok(())
    } else {
        Err(format!(
            "{variable} has no {field}; it has {}",
            known.join(", ")
        ))
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
        let scope = Scope::new(object([("order_count", Value::Int(3))]), "home", "decision");
        let found = Expression::compile("filter", text, ALL)
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
        let mut late = Expression::compile("filter", "true", ALL).unwrap().unwrap();
        assert_eq!(late.holds(&Scope::default(), None), Ok(true));
        late.until = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(late.is_late());
        let fault = late.holds(&Scope::default(), None).unwrap_err();
        assert!(fault.contains("within 1000 ms"), "{fault}");
    }

    #[test]
    fn boosts_are_bounded() {
        let factor = |text: &str| {
            let compiled = Expression::compile("boost", text, ALL).unwrap().unwrap();
            compiled.factor(&Scope::default(), object([]))
        };
        assert!((factor("1.5").unwrap() - 1.5).abs() < 1e-12);
        assert!((factor("2").unwrap() - 2.0).abs() < 1e-12);
        assert!(factor("0.0").is_err());
        assert!(factor("1e9").is_err());
        assert!(factor("0.0 / 0.0").is_err());
        assert!(factor("'a'").is_err());
    }
}
