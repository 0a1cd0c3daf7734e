//! The shelves of "Gadgets Here": what kinds of products there are, and who likes them when.

/// What a family of products is to its owner.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    /// Bought for itself, rarely twice.
    Main,
    /// Follows a main product of these families; with `model`, each fits one product.
    Accessory { of: &'static [usize], model: bool },
    /// Used up after about so many days.
    Replenishable { days: f64, of: &'static [usize] },
}

/// A family: one category of the catalogue.
#[derive(Debug)]
pub(crate) struct Family {
    /// The category, ` > ` between levels.
    pub(crate) path: &'static str,
    /// What one of them is called.
    pub(crate) noun: &'static str,
    /// Names of product lines.
    pub(crate) series: [&'static str; 4],
    pub(crate) used_as: Use,
    /// Share of the catalogue (relative).
    pub(crate) share: f64,
    /// Cheapest and dearest, in euros.
    pub(crate) price: (f64, f64),
    /// How much tech enthusiasts, everyday consumers and business clients like it.
    pub(crate) liking: [f64; 3],
    /// Day of the year with most demand, and strength of the season.
    pub(crate) season: (f64, f64),
}

const GADGETS: [&str; 4] = ["Nova", "Pulse", "Arc", "Edge"];
const WORKING: [&str; 4] = ["Pro Desk", "Vertex", "Slate", "Matrix"];
const LIVING: [&str; 4] = ["Breeze", "Cosy", "Lumen", "Terra"];
const SIMPLE: [&str; 4] = ["Slim", "Guard", "Flex", "Classic"];
const SUPPLY: [&str; 4] = ["Original", "Eco", "XL", "Daily"];

const fn main(
    path: &'static str,
    noun: &'static str,
    series: [&'static str; 4],
    share: f64,
    price: (f64, f64),
    liking: [f64; 3],
    season: (f64, f64),
) -> Family {
    Family {
        path,
        noun,
        series,
        used_as: Use::Main,
        share,
        price,
        liking,
        season,
    }
}

const fn extra(
    path: &'static str,
    noun: &'static str,
    of: &'static [usize],
    model: bool,
    share: f64,
    price: (f64, f64),
    liking: [f64; 3],
) -> Family {
    let used_as = Use::Accessory { of, model };
    Family {
        path,
        noun,
        series: SIMPLE,
        used_as,
        share,
        price,
        liking,
        season: (350.0, 0.1),
    }
}

const fn supply(
    path: &'static str,
    noun: &'static str,
    of: &'static [usize],
    days: f64,
    share: f64,
    price: (f64, f64),
    liking: [f64; 3],
) -> Family {
    let used_as = Use::Replenishable { days, of };
    Family {
        path,
        noun,
        series: SUPPLY,
        used_as,
        share,
        price,
        liking,
        season: (15.0, 0.05),
    }
}

/// How many families there are.
pub(crate) const COUNT: usize = 31;

const PHONES: usize = 0;
const LAPTOPS: usize = 1;
const MONITORS: usize = 2;
const TABLETS: usize = 3;
const HEADPHONES: usize = 4;
const WATCHES: usize = 6;
const CAMERAS: usize = 7;
const CONSOLES: usize = 8;
const VACUUMS: usize = 9;
const COFFEE: usize = 10;
const PRINTERS: usize = 12;
const BRUSHES: usize = 15;

/// All families; the first is a main one, so that a shop of one product sells something.
#[rustfmt::skip]
pub(crate) static FAMILIES: [Family; COUNT] = [
    main("Phones > Smartphones", "Smartphone", GADGETS,
        0.07, (180.0, 1300.0), [1.4, 0.9, 0.3], (270.0, 0.25)),
    main("Computers > Laptops", "Laptop", WORKING,
        0.07, (400.0, 2400.0), [1.0, 0.5, 1.3], (245.0, 0.35)),
    main("Computers > Monitors", "Monitor", WORKING,
        0.05, (120.0, 900.0), [0.8, 0.25, 1.2], (250.0, 0.2)),
    main("Computers > Tablets", "Tablet", GADGETS,
        0.04, (150.0, 1100.0), [0.6, 0.7, 0.4], (350.0, 0.5)),
    main("Audio > Headphones", "Headphones", GADGETS,
        0.06, (25.0, 450.0), [1.2, 0.9, 0.3], (350.0, 0.5)),
    main("Audio > Speakers", "Speaker", GADGETS,
        0.04, (30.0, 600.0), [0.7, 0.8, 0.1], (345.0, 0.5)),
    main("Wearables > Smartwatches", "Smartwatch", GADGETS,
        0.05, (60.0, 700.0), [1.1, 0.6, 0.05], (10.0, 0.4)),
    main("Cameras > Action Cameras", "Action Camera", GADGETS,
        0.03, (120.0, 650.0), [0.9, 0.3, 0.05], (185.0, 0.7)),
    main("Gaming > Consoles", "Console", GADGETS,
        0.03, (200.0, 650.0), [0.9, 0.5, 0.02], (350.0, 0.7)),
    main("Home > Robot Vacuums", "Robot Vacuum", LIVING,
        0.03, (150.0, 900.0), [0.5, 0.8, 0.15], (75.0, 0.3)),
    main("Home > Coffee Machines", "Coffee Machine", LIVING,
        0.04, (60.0, 900.0), [0.3, 0.9, 0.5], (345.0, 0.45)),
    main("Home > Fans", "Fan", LIVING, 0.03, (25.0, 250.0), [0.1, 0.7, 0.3], (195.0, 0.9)),
    main("Office > Printers", "Printer", WORKING,
        0.04, (80.0, 700.0), [0.1, 0.35, 1.1], (245.0, 0.3)),
    main("Office > Webcams", "Webcam", WORKING, 0.03, (30.0, 300.0), [0.4, 0.2, 0.9], (20.0, 0.3)),
    main("Networking > Routers", "Router", WORKING,
        0.03, (50.0, 400.0), [0.8, 0.3, 0.7], (1.0, 0.0)),
    main("Personal Care > Toothbrushes", "Electric Toothbrush", LIVING,
        0.03, (25.0, 250.0), [0.2, 0.9, 0.02], (345.0, 0.3)),
    extra("Phones > Cases", "Case", &[PHONES], true, 0.07, (10.0, 60.0), [0.5, 0.6, 0.1]),
    extra("Phones > Chargers", "Charger", &[PHONES, TABLETS], false,
        0.03, (12.0, 80.0), [0.4, 0.5, 0.3]),
    extra("Computers > Laptop Bags", "Laptop Bag", &[LAPTOPS], false,
        0.03, (25.0, 160.0), [0.2, 0.3, 0.5]),
    extra("Computers > Docking Stations", "Docking Station", &[LAPTOPS, MONITORS], false,
        0.03, (60.0, 320.0), [0.5, 0.05, 0.9]),
    extra("Wearables > Straps", "Strap", &[WATCHES], true, 0.03, (10.0, 80.0), [0.4, 0.4, 0.02]),
    extra("Cameras > Mounts", "Mount", &[CAMERAS], false, 0.02, (12.0, 90.0), [0.4, 0.15, 0.02]),
    extra("Gaming > Controllers", "Controller", &[CONSOLES], false,
        0.03, (35.0, 180.0), [0.6, 0.3, 0.02]),
    extra("Audio > Headphone Stands", "Headphone Stand", &[HEADPHONES], false,
        0.02, (15.0, 70.0), [0.3, 0.2, 0.05]),
    supply("Office > Ink Cartridges", "Ink Cartridge", &[PRINTERS],
        40.0, 0.05, (15.0, 90.0), [0.1, 0.4, 1.0]),
    supply("Office > Printer Paper", "Printer Paper", &[PRINTERS],
        28.0, 0.03, (4.0, 40.0), [0.05, 0.2, 1.1]),
    supply("Home > Coffee Beans", "Coffee Beans", &[COFFEE],
        21.0, 0.04, (6.0, 35.0), [0.4, 0.9, 0.7]),
    supply("Personal Care > Brush Heads", "Brush Heads", &[BRUSHES],
        75.0, 0.03, (8.0, 40.0), [0.2, 0.8, 0.02]),
    supply("Home > Vacuum Bags", "Vacuum Bags", &[VACUUMS],
        50.0, 0.02, (8.0, 35.0), [0.1, 0.5, 0.1]),
    supply("Home > Batteries", "Batteries", &[], 60.0, 0.03, (4.0, 30.0), [0.4, 0.6, 0.5]),
    supply("Office > Cleaning Wipes", "Cleaning Wipes", &[],
        32.0, 0.02, (3.0, 20.0), [0.1, 0.3, 0.9]),
];

/// Makers with their price tier, from −1 (cheap) to 1 (dear).
pub(crate) static BRANDS: [(&str, f64); 14] = [
    ("Aurex", 1.0),
    ("Orbita", 0.8),
    ("Kestrel", 0.6),
    ("Lumora", 0.4),
    ("Halvio", 0.3),
    ("Gridnest", 0.2),
    ("Ionix", 0.1),
    ("Northbay", 0.0),
    ("Fennik", -0.1),
    ("Dynalo", -0.3),
    ("Corvid", -0.4),
    ("Pinecrest", -0.6),
    ("Everlit", -0.8),
    ("Basiq", -1.0),
];

/// Colours for the attributes.
pub(crate) static COLOURS: [&str; 6] = ["black", "white", "silver", "blue", "green", "red"];
