//! Which fields of a message an update changes.

use crate::domain::{FaultCode, Faults};

/// A field that can be changed.
pub(super) struct Field<M> {
    /// Its path.
    pub(super) name: &'static str,
    /// True if the caller said something of it.
    pub(super) is_set: fn(&M) -> bool,
    /// Takes it over: into the first message, from the second.
    pub(super) copy: fn(&mut M, &M),
}

/// The fields of a message that can be changed.
macro_rules! fields {
    ($message:ty: $($name:ident),+ $(,)?) => {
        &[$($crate::transport::grpc::mask::Field {
            name: stringify!($name),
            is_set: |message: &$message| message.$name != <$message>::default().$name,
            copy: |to, from| to.$name.clone_from(&from.$name),
        }),+]
    };
}
pub(super) use fields;

/// A message whose fields can be changed one by one.
pub(super) trait Masked: Clone + 'static {
    /// Those that can be changed.
    const FIELDS: &'static [Field<Self>];
    /// Those that say which one it is, or are the service's own: a mask may name them, and they are passed over.
    const FIXED: &'static [&'static str];
}

/// The fields to change.
pub(super) struct Mask<M: Masked>(Vec<&'static Field<M>>);

impl<M: Masked> Mask<M> {
    /// Absent: the fields that are set. `*`: all.
    pub(super) fn parse(
        faults: &mut Faults,
        mask: Option<&prost_types::FieldMask>,
        given: &M,
    ) -> Self {
        let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
            return Self(M::FIELDS.iter().filter(|f| (f.is_set)(given)).collect());
        };
        let mut fields = Vec::new();
        for path in &mask.paths {
            let found = M::FIELDS.iter().find(|field| field.name == path);
            match found {
                Some(field) => fields.push(field),
                None if path == "*" => fields.extend(M::FIELDS),
                None if M::FIXED.contains(&path.as_str()) => {}
                None => {
                    let names: Vec<&str> = M::FIELDS.iter().map(|field| field.name).collect();
                    let reason = format!("paths are * and {}", names.join(", "));
                    faults.add("update_mask", FaultCode::UnknownName, reason);
                    break;
                }
            }
        }
        Self(fields)
    }

    /// `old` with the fields of the mask as they are in `news`.
    pub(super) fn merge(&self, mut old: M, news: &M) -> M {
        for field in &self.0 {
            (field.copy)(&mut old, news);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    fn merged(paths: Option<&[&str]>) -> Result<v1::Product, Faults> {
        let old = v1::Product {
            product_id: "p1".to_owned(),
            name: "Old".to_owned(),
            brand: "Acme".to_owned(),
            price: Some(5.0),
            currency_code: "EUR".to_owned(),
            ..v1::Product::default()
        };
        let news = v1::Product {
            product_id: "p1".to_owned(),
            name: "New".to_owned(),
            ..v1::Product::default()
        };
        let mask = paths.map(|paths| prost_types::FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        });
        let mut faults = Faults::new();
        let mask = Mask::parse(&mut faults, mask.as_ref(), &news);
        faults.into_result(|| mask.merge(old, &news))
    }

    #[test]
    fn only_the_fields_of_the_mask_change() {
        let product = merged(None).unwrap();
        assert_eq!(
            (product.name.as_str(), product.brand.as_str()),
            ("New", "Acme")
        );
        let product = merged(Some(&["price", "product_id"])).unwrap();
        assert_eq!((product.name.as_str(), product.price), ("Old", None));
        assert_eq!(product.currency_code, "EUR");
        let product = merged(Some(&["*"])).unwrap();
        assert_eq!((product.name.as_str(), product.brand.as_str()), ("New", ""));
        assert_eq!(product.price, None);
        let faults = merged(Some(&["colour"])).unwrap_err();
        assert_eq!(faults.as_slice()[0].code, FaultCode::UnknownName);
    }

    /// Every field of a message can be changed or is fixed: none is forgotten when one is added.
    #[test]
    fn every_field_is_one_or_the_other() {
        fn check<M: Masked>(name: &str) {
            use prost::Message as _;
            use prost_types::FieldDescriptorProto;
            let set = prost_types::FileDescriptorSet::decode(crate::proto::DESCRIPTORS).unwrap();
            let mut messages = set.file.into_iter().flat_map(|file| file.message_type);
            let message = messages.find(|message| message.name() == name).unwrap();
            let mut found: Vec<&str> = M::FIELDS.iter().map(|field| field.name).collect();
            found.extend(M::FIXED);
            found.sort_unstable();
            let mut expected: Vec<&str> = message
                .field
                .iter()
                .map(FieldDescriptorProto::name)
                .collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
        check::<v1::Product>("Product");
        check::<v1::Offer>("Offer");
    }
}
