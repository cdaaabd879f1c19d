/* Two locks, of which one participant holds both: a death inside is the death of two owners, and wakes one sleeper. See lock.pml. */
#define LOCKS 2
#include "lock.pml"
