/** Elements of the market-data streams, built by hand after recorded ones: same members, order and precision, other values. */

export const TRADE = {
  T: "t",
  i: 71003,
  S: "MSFT",
  x: "V",
  p: 412.355,
  s: 7,
  t: "2026-09-17T14:31:02.104Z",
  c: ["@", "I"],
  z: "C",
};

export const QUOTE = {
  T: "q",
  S: "INTC",
  bx: "V",
  bp: 31.07,
  bs: 3,
  ax: "Q",
  ap: 31.09,
  as: 12,
  t: "2026-09-17T14:31:02.118734209Z",
  c: ["R"],
  z: "C",
};

export const BAR = {
  T: "b",
  S: "QQQ",
  o: 571.2,
  h: 571.445,
  l: 571.1,
  c: 571.4,
  v: 18240,
  t: "2026-09-17T14:30:00Z",
  n: 402,
  vw: 571.2871,
};

export const CRYPTO_TRADE = {
  T: "t",
  S: "SOL/USD",
  p: 201.4405,
  s: 0.0319,
  t: "2026-09-17T03:00:00.918203644Z",
  i: 40117733,
  tks: "S",
};

export const CRYPTO_QUOTE = {
  T: "q",
  S: "SOL/USD",
  bp: 201.42,
  bs: 118.504,
  ap: 201.4601,
  as: 0.25,
  t: "2026-09-17T03:00:00.9Z",
};

/** A minute in which nobody traded: made from the middle of the quotes. */
export const CRYPTO_BAR = {
  T: "b",
  S: "LTC/USD",
  o: 84.105,
  h: 84.12,
  l: 84.1,
  c: 84.11,
  v: 0,
  t: "2026-09-17T03:00:00Z",
  n: 0,
  vw: 0,
};
