#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Proves the inference of extended sequence numbers (replay_infer in sadb/replay.c).

For every top, every window up to 65536 and every 32-bit number on the wire a solver shows that
the formula implemented

  1. is the algorithm of RFC 4303 appendix A2.2, but for its corner: with a high half of 0 it
     stays 0 where the RFC's text would make it -1;
  2. keeps the low half that was on the wire;
  3. finds the number that was sent, whenever that lies less than 2^32 from the left edge
     of the window;
  4. never gives a number that the window would accept behind 2^64.

The formula is tied to the C code by running the compiled function (a shared library, the script's
argument) beside the very expression proved, at the edges and at random points.
"""

import ctypes
import random
import sys

try:
    from z3 import (And, BitVec, BitVecVal, Concat, Extract, If, Implies, Not, Or, Solver, UGE,
                    UGT, ULE, ULT, ZeroExt, simplify, unsat)
except ImportError:
    print("the solver is missing: install python3-z3")
    sys.exit(77)

WINDOW_MAX = 65536


def infer(top, window, lo):
    """The expression of replay_infer(): 64-bit top, 32-bit window and wire number."""
    edge = If(UGE(top, ZeroExt(32, window)), top - ZeroExt(32, window) + 1, BitVecVal(0, 64))
    return edge + ZeroExt(32, lo - Extract(31, 0, edge))


def rfc4303(top, window, lo):
    """Appendix A2.2: Tl, Th, W, Seql as there. The corner: Th is 0 where case B would lower it."""
    tl, th = Extract(31, 0, top), Extract(63, 32, top)
    bl = tl - (window - 1)
    case_a = If(UGE(lo, bl), th, th + 1)
    case_b = If(UGE(lo, bl), If(th == 0, th, th - 1), th)
    return Concat(If(UGE(tl, window - 1), case_a, case_b), lo)


def prove(name, claim, assumptions):
    solver = Solver()
    solver.add(assumptions)
    solver.add(Not(claim))
    if solver.check() != unsat:
        print(f"{name}: refuted by {solver.model()}")
        sys.exit(1)
    print(f"{name}: proved")


def prove_all():
    top, sent = BitVec("top", 64), BitVec("sent", 64)
    window, lo = BitVec("window", 32), BitVec("lo", 32)
    wide = ZeroExt(32, window)
    edge = If(UGE(top, wide), top - wide + 1, BitVecVal(0, 64))
    seq = infer(top, window, lo)
    valid = [UGE(window, 1), ULE(window, WINDOW_MAX)]

    prove("equal to RFC 4303 appendix A2.2", seq == rfc4303(top, window, lo), valid)
    prove("keeps the low half", Extract(31, 0, seq) == lo, valid)
    prove("finds the number sent",
          Implies(And(UGE(sent, edge), ULT(sent - edge, BitVecVal(1 << 32, 64)),
                      Extract(31, 0, sent) == lo), seq == sent), valid)
    prove("a high half of 0 is not lowered",
          Implies(ULT(top, BitVecVal(1 << 32, 64)),
                  ULE(Extract(63, 32, seq), BitVecVal(1, 32))), valid)
    # What has run over 2^64 is far left of the window.
    prove("nothing is accepted behind 2^64",
          Or(UGE(seq, edge), And(UGT(top, seq), UGE(top - seq, wide))), valid)


def points(count):
    edges = [0, 1, 31, 32, 63, 64, 991, 992, 65535, 65536, 2**31, 2**32 - 1]
    windows = [1, 32, 33, 64, 992, 65535, 65536]
    for th in (0, 1, 2**31, 2**32 - 1):
        for tl in edges:
            for window in windows:
                for lo in (tl, tl - window, tl - window + 1, tl + 1, 0, 2**32 - 1):
                    yield th << 32 | tl, window, lo % 2**32
    draw = random.Random(4303)
    for _ in range(count):
        top = draw.getrandbits(draw.randint(1, 64))
        window = draw.randint(1, WINDOW_MAX)
        near = top + draw.randint(-3 * WINDOW_MAX, 3 * WINDOW_MAX)
        yield top, window, draw.choice((near, draw.getrandbits(32))) % 2**32


def evaluate_c(library):
    function = ctypes.CDLL(library).replay_infer
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32]
    return function


def compare(library):
    """The C function and the proved expression, at points where the solver merely calculates."""
    function = evaluate_c(library)
    n = 0
    for t, w, s in points(4000):
        proved = simplify(infer(BitVecVal(t, 64), BitVecVal(w, 32), BitVecVal(s, 32))).as_long()
        if function(t, w, s) != proved:
            print(f"top {t:#x}, window {w}, low {s:#x}: C says {function(t, w, s):#x}, "
                  f"the formula {proved:#x}")
            sys.exit(1)
        n += 1
    print(f"the C function agrees with the formula proved at {n} points")


prove_all()
compare(sys.argv[1])
