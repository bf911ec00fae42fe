//! Odd targets, from a seed: good ones written oddly, and good ones with something odd in them.

/// What a segment or a value may be made of.
const PIECES: [&[u8]; 88] = [
    b"%2e",
    b"%2E%2e",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%5C",
    b"%252e",
    b"%252f",
    b"%25",
    b"%2525",
    b"%c0%ae",
    b"%c0%af",
    b"%e0%80%ae",
    b"%f0%80%80%ae",
    b"%c1%9c",
    b"%ff",
    b"%fe%ff",
    b"%ed%a0%80",
    b"%00",
    b"%0d%0a",
    b"%0a",
    b"%0d",
    b"%09",
    b"%20",
    b"%1f",
    b"%7f",
    b"%c2%85",
    b"%e2%80%a8",
    b"%u002e",
    b"%u2215",
    b"%",
    b"%%",
    b"%z",
    b"%zz",
    b"%4",
    b"%G1",
    b"%2",
    b"%-1",
    b"%+1",
    b"% 1",
    b".",
    b"..",
    b"...",
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"/..;/",
    b"\\",
    b"..\\",
    b";",
    b";a=b",
    b";jsessionid=1",
    b"#",
    b"#f",
    b"?",
    b"??",
    b"&",
    b"&&",
    b"=",
    b"==",
    b"+",
    b"%2b",
    b"%26",
    b"%3d",
    b"%3b",
    b"%23",
    b"%3f",
    b",",
    b"%2c",
    b"|",
    b"%7C",
    b"$",
    b"%24",
    b":",
    b"*",
    b"~",
    b"!",
    b"(",
    b"'",
    b"\"",
    b"<",
    b"{",
    b"^",
    b"`",
    b"[]",
    b"@",
    b"%5b%5d",
];

/// The same, of what no target may hold as it is.
const RAW: [&[u8]; 14] = [
    b" ",
    b"\t",
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\x0b",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc0\xae",
    "\u{e9}".as_bytes(),
    "\u{6f22}".as_bytes(),
];

/// Parameters of a patient's search; a modifier where one fits.
const NAMES: [&str; 16] = [
    "name",
    "family",
    "given",
    "_id",
    "birthdate",
    "gender",
    "identifier",
    "active",
    "language",
    "name:exact",
    "family:contains",
    "gender:not",
    "birthdate:missing",
    "_lastUpdated",
    "_tag",
    "organization",
];

/// Names that are none, or not for one reader only.
const ODD_NAMES: [&str; 24] = [
    "",
    "a[]",
    "name[]",
    "name[0]",
    "name[exact]",
    "Name",
    "NAME",
    "_ID",
    "_Id",
    "name ",
    " name",
    "name.x",
    "name:",
    ":exact",
    "name::exact",
    "name:exact:exact",
    "_method",
    "_format",
    "_count",
    "_include",
    "_has",
    "__proto__",
    "n\u{e4}me",
    "name\u{200b}",
];

/// Text of values, before it is written.
const VALUES: [&str; 22] = [
    "smith",
    "a b",
    "a+b",
    "a&b",
    "a=b",
    "a;b",
    "a#b",
    "a?b",
    "a/b",
    "../..",
    "a\\b",
    "a%b",
    "%2e",
    "a,b",
    "a|b",
    "http://loinc.org|8480-6",
    "O'Neil",
    "\u{e9}t\u{e9}",
    "\u{6f22}\u{5b57}",
    "\u{1fa7a}",
    "ge2020-01-01",
    "true",
];

pub struct Generate {
    state: u64,
}

impl Generate {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// splitmix64
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A target, half of them with something odd in it.
    pub fn target(&mut self) -> Vec<u8> {
        let kind = self.kind();
        let mut out = b"/fhir/".to_vec();
        out.extend(kind.bytes());
        if self.one_in(3) {
            out.push(b'/');
            out.extend(self.id());
            if self.one_in(4) {
                let json: [&[u8]; 4] = [
                    b"?_format=json",
                    b"?_pretty=true",
                    b"?_format=application%2Ffhir%2Bjson",
                    b"?%5fformat=json",
                ];
                out.extend(self.pick(&json));
            }
        } else if !self.one_in(12) {
            out.push(b'?');
            out.extend(self.query());
        }
        if self.one_in(3) {
            self.mutate(&mut out);
        }
        out
    }

    /// A query or a form.
    pub fn query(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for n in 0..=self.below(4) {
            if n > 0 {
                out.push(b'&');
            }
            let name = if self.one_in(12) {
                self.pick(&ODD_NAMES)
            } else {
                self.pick(&NAMES)
            };
            self.write(&mut out, name);
            if !self.one_in(40) {
                out.push(b'=');
            }
            let value = match name {
                "birthdate:missing" => "true",
                "_count" => self.pick(&["1", "50", "1000000", "+5", "0", "-1", "5 ", "05"]),
                "_format" => self.pick(&["json", "application/fhir+json"]),
                _ => self.pick(&VALUES),
            };
            self.write(&mut out, value);
            for _ in 0..self.below(3).saturating_sub(1) {
                let piece = self.pick(&PIECES);
                out.extend_from_slice(piece);
            }
        }
        if self.one_in(300) {
            out.extend(b"x".repeat(9000));
        }
        out
    }

    fn kind(&mut self) -> String {
        if !self.one_in(10) {
            return self.pick(&["Patient", "Patient", "Observation"]).to_owned();
        }
        let odd = [
            "patient",
            "PATIENT",
            "Patient.",
            ".Patient",
            "Patient%20",
            "%50atient",
            "P\u{e4}tient",
            "Patient$",
            "$everything",
            "Patient/_search",
            "Patient/_history",
            "Resource",
            "*",
            "",
            "Patient/$everything",
            "_search",
            "Patient%00",
        ];
        self.pick(&odd).to_owned()
    }

    fn id(&mut self) -> Vec<u8> {
        let good = ["p1", "a.b", "A-1", "1", "x.y.z", "-", "a..b", ".a", "0"];
        let mut id = self.pick(&good).as_bytes().to_vec();
        match self.below(12) {
            0 => id.extend(b"x".repeat(62)),
            1 => id.extend(b"x".repeat(70)),
            2..=4 => {
                let piece = self.pick(&PIECES);
                id.extend_from_slice(piece);
            }
            _ => {}
        }
        id
    }

    /// Writes text as one of many clients would: all escaped, none, some, in either case.
    fn write(&mut self, out: &mut Vec<u8>, text: &str) {
        let way = self.below(5);
        for byte in text.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
            let escape = match way {
                0 => true,
                1 => !plain && !b"/|,'?".contains(&byte),
                2 => self.one_in(2),
                _ => !plain,
            };
            if byte == b' ' && way == 3 {
                out.push(b'+');
            } else if escape && self.one_in(2) {
                out.extend(format!("%{byte:02X}").bytes());
            } else if escape {
                out.extend(format!("%{byte:02x}").bytes());
            } else {
                out.push(byte);
            }
        }
    }

    /// Puts one to three odd pieces somewhere, or takes something away, or tells it twice.
    fn mutate(&mut self, out: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = 1 + self.below(out.len());
            match self.below(10) {
                0 => {
                    let raw = self.pick(&RAW);
                    out.splice(at..at, raw.iter().copied());
                }
                1 => {
                    out.truncate(at);
                }
                2 => {
                    let again = out[at..].to_vec();
                    out.extend(again);
                }
                3 => {
                    let byte = out[at - 1];
                    if byte.is_ascii_alphabetic() {
                        out[at - 1] = byte ^ 0x20;
                    }
                }
                _ => {
                    let piece = self.pick(&PIECES);
                    out.splice(at..at, piece.iter().copied());
                }
            }
        }
    }
}
