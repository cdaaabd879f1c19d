export function ownShm(size: string): string[] | undefined;
