/** Of this package: a program of it that a child runs has to be of the same one. */
export const VERSION = '0.1.0';
