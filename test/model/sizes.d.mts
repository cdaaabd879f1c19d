export interface Size {
  model: string;
  flags: string[];
  expected: 'ok' | 'stuck' | 'wrong';
  mutant?: string;
  cycles?: boolean;
}

export declare const CI: readonly Size[];
export declare const NIGHTLY: readonly Size[];
