/* Sizes that no -D gave: see the models. */
#ifndef N
#define N 3
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef JOINERS
#define JOINERS 0
#endif
#ifndef GIVEUPS
#define GIVEUPS 0
#endif
#ifndef SLICES
#define SLICES 0
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef PATIENCE
#define PATIENCE -1
#endif
#ifndef NAPS
#define NAPS 0
#endif
#ifndef RETURNS
#define RETURNS KILLS
#endif
#define S N
