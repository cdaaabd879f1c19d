/** Builds a native program of the tests from sources in a folder of the repository; its path. */
export function compile(name: string, folder: string, sources: readonly string[], options?: readonly string[]): string;
