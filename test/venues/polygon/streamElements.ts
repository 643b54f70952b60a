/** Elements of the streams, built by hand after recorded ones: same members, order and precision, other values. */

export const TRADE = {
  ev: "T",
  sym: "MSFT",
  i: "5096",
  x: 10,
  p: 261.87,
  s: 300,
  c: [14, 41],
  t: 1_651_684_192_462,
  q: 4_009_402,
  z: 3,
};

export const QUOTE = {
  ev: "Q",
  sym: "MSFT",
  bx: 4,
  bp: 114.125,
  bs: 100,
  ax: 7,
  ap: 114.128,
  as: 160,
  c: 0,
  i: [604],
  t: 1_651_684_192_784,
  q: 50_385_480,
  z: 3,
};

export const MINUTE_BAR = {
  ev: "AM",
  sym: "GTE",
  v: 4110,
  av: 9_470_157,
  op: 0.4372,
  vw: 0.4488,
  o: 0.4488,
  c: 0.4486,
  h: 0.4489,
  l: 0.4486,
  a: 0.4352,
  z: 685,
  s: 1_610_144_640_000,
  e: 1_610_144_700_000,
  dv: "4110.0",
  dav: "9470157.125038",
};

export const PAIR_TRADE = {
  ev: "XT",
  pair: "LTC-USD",
  p: 133.9,
  t: 1_610_462_007_425,
  s: 0.01616617,
  c: [2],
  i: 14_272_084,
  x: 3,
  r: 1_610_462_007_576,
};

export const PAIR_QUOTE = {
  ev: "XQ",
  pair: "LTC-USD",
  bp: 133.79,
  bs: 0.48,
  ap: 133.81,
  as: 0.601,
  t: 1_610_462_411_115,
  x: 1,
  r: 1_610_462_411_128,
};

export const PAIR_MINUTE = {
  ev: "XA",
  pair: "LTC-USD",
  v: 951.6112,
  vw: 0.7756,
  z: 73,
  o: 0.772,
  c: 0.784,
  h: 0.784,
  l: 0.771,
  s: 1_610_463_240_000,
  e: 1_610_463_300_000,
};
