// What is checked, and what must come of it: `ok`; `stuck` (somebody sleeps, and nothing else can happen); `wrong` (an
// assertion); with a mutant, the bug on purpose that must be found so. `cycles` looks for endless activity instead.
const plain = (model, flags, rest = {}) => ({ model, flags, expected: 'ok', ...rest });
const mutant = (model, name, expected, flags) => ({ model, flags: [...flags, name], mutant: name, expected });

const kills = (n) => `KILLS=${n}`;

/** Within two minutes on two cores. */
export const CI = [
  ...[0, 1, 2, 3].map((k) => plain('lock', ['N=2', kills(k), 'RESPAWN'])),
  plain('lock', ['N=2', kills(1), 'RESPAWN', 'FINE']),
  plain('lock', ['N=2', kills(1), 'RESPAWN', 'IDLE']),
  plain('lock', ['N=2', kills(1), 'RESPAWN', 'LEAVE', 'JOINERS=1']),
  plain('lock', ['N=2', kills(0), 'ROUNDS=2'], { cycles: true }),
  plain('lock', ['N=2', kills(1), 'RESPAWN'], { cycles: true }),
  ...[0, 1, 2, 3].map((k) => plain('lock', ['N=3', kills(k)])),
  plain('lock', ['N=3', kills(1), 'ASYNC']),
  plain('lock', ['N=3', kills(1), 'THROW']),
  plain('lock', ['N=3', kills(0), 'GIVEUPS=2', 'ROUNDS=2']),
  plain('lock', ['N=3', kills(0), 'PATIENCE=0', 'NAPS=2']),
  plain('lock', ['N=3', kills(1), 'PATIENCE=0']),
  ...[0, 1, 2, 3].map((k) => plain('two_locks', ['N=3', kills(k)])),
  ...[0, 1, 2, 3].map((k) => plain('rwlock', ['N=2', kills(k)])),
  plain('rwlock', ['N=2', kills(1), 'RESPAWN']),
  plain('rwlock', ['N=2', kills(1), 'RESPAWN', 'FINE']),
  plain('rwlock', ['N=2', kills(1), 'WRITERS=2', 'RESPAWN', 'THROW']),
  plain('rwlock', ['N=2', kills(1), 'RESPAWN', 'ASYNC']),
  plain('rwlock', ['N=2', kills(1), 'RESPAWN', 'PATIENCE=0']),
  plain('rwlock', ['N=2', kills(1), 'GIVEUPS=2', 'ROUNDS=2']),
  plain('rwlock', ['N=2', kills(0)], { cycles: true }),
  plain('rwlock', ['N=3', kills(0)]),

  mutant('lock', 'STEAL_STORE', 'wrong', ['N=3', kills(1)]),
  mutant('lock', 'NO_STICKY', 'stuck', ['N=3', kills(0)]),
  mutant('lock', 'NO_BIT', 'stuck', ['N=2', kills(0)]),
  mutant('lock', 'BIT_STORE', 'stuck', ['N=3', kills(0)]),
  mutant('lock', 'NO_WAKE', 'stuck', ['N=2', kills(0)]),
  mutant('lock', 'NO_GEN', 'wrong', ['N=2', kills(1), 'RESPAWN']),
  mutant('lock', 'NO_ANNOUNCE', 'stuck', ['N=2', kills(1), 'RESPAWN', 'IDLE']),
  mutant('lock', 'NO_MEMBERS', 'stuck', ['N=2', kills(1), 'RESPAWN', 'IDLE']),
  mutant('lock', 'NO_STALE', 'stuck', ['N=2', kills(1)]),
  mutant('lock', 'OWNER_ONLY', 'stuck', ['N=3', kills(1)]),
  // A look now and then mends what a missed wake-up does: that is what the slices of a sleep are for.
  mutant('lock', 'OWNER_ONLY', 'ok', ['N=3', kills(1), 'SLICES=3']),
  mutant('lock', 'NO_DIED', 'wrong', ['N=2', kills(1)]),
  mutant('lock', 'GIVE_UP_NO_BIT', 'stuck', ['N=3', kills(0), 'GIVEUPS=1', 'ROUNDS=2']),
  mutant('lock', 'GIVE_UP_NO_WAKE', 'stuck', ['N=3', kills(0), 'GIVEUPS=1']),
  mutant('lock', 'RESERVE_WAKES_ONE', 'stuck', ['N=3', kills(0), 'PATIENCE=0']),
  mutant('lock', 'TRUST_RESERVATION', 'stuck', ['N=3', kills(1), 'PATIENCE=0']),
  mutant('lock', 'FREE_STORE', 'wrong', ['N=3', kills(1), 'THROW']),
  mutant('two_locks', 'NO_CHAIN', 'stuck', ['N=3', kills(1)]),

  mutant('rwlock', 'LOOK_FIRST', 'wrong', ['N=2', kills(0)]),
  mutant('rwlock', 'NO_DRAIN_WAKE', 'stuck', ['N=2', kills(0)]),
  mutant('rwlock', 'NO_DRAIN_COUNT', 'stuck', ['N=2', kills(0)]),
  mutant('rwlock', 'EXPECT_LATE', 'stuck', ['N=2', kills(0)]),
  // With NO_OWNER, because the name of a reader that a writer saw shows the same deaths.
  mutant('rwlock', 'COUNT_DEAD', 'stuck', ['N=2', kills(1), 'NO_OWNER']),
  mutant('rwlock', 'NO_DEAD_COUNT', 'stuck', ['N=2', kills(1), 'NO_OWNER']),
  // A newcomer that is killed before it has said that it is there.
  plain('rwlock', ['N=2', kills(2), 'RESPAWN', 'RETURNS=1', 'NO_OWNER']),
  mutant('rwlock', 'LATE_GEN', 'stuck', ['N=2', kills(2), 'RESPAWN', 'RETURNS=1', 'NO_OWNER']),
  mutant('rwlock', 'NO_TAG', 'stuck', ['N=2', kills(1), 'RESPAWN']),
  mutant('rwlock', 'NO_INSIDE', 'wrong', ['N=2', kills(1)]),
  mutant('rwlock', 'NO_DIED', 'wrong', ['N=2', kills(1)]),
  mutant('rwlock', 'DOWNGRADE_LATE', 'wrong', ['N=3', 'WRITERS=2', kills(0), 'DOWNGRADE']),
  mutant('rwlock', 'STEAL_STORE', 'wrong', ['N=3', 'WRITERS=3', kills(1)]),
  mutant('rwlock', 'NO_BIT', 'stuck', ['N=2', kills(0)]),
  mutant('rwlock', 'FREE_STORE', 'wrong', ['N=3', 'WRITERS=3', kills(1), 'THROW']),
  mutant('rwlock', 'CLEAR_STORE', 'wrong', ['N=3', 'WRITERS=3', kills(1), 'THROW']),
];

/** For the night, after those of CI. */
export const NIGHTLY = [
  plain('lock', ['N=3', kills(1), 'RESPAWN']),
  plain('lock', ['N=3', kills(1), 'FINE']),
  plain('two_locks', ['N=3', kills(1), 'RESPAWN']),
  plain('rwlock', ['N=2', kills(2), 'RESPAWN']),
  plain('rwlock', ['N=2', kills(2), 'RESPAWN', 'RETURNS=1']),
  plain('rwlock', ['N=3', 'WRITERS=2', kills(0)]),
  plain('rwlock', ['N=3', 'WRITERS=3', kills(1)]),
  plain('rwlock', ['N=3', kills(1)]),
  mutant('rwlock', 'GIVE_UP_SILENT', 'wrong', ['N=3', 'WRITERS=2', kills(1), 'GIVEUPS=1']),
];
