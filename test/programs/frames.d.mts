export function frame(message: unknown): Buffer;
export function readFrames(stream: NodeJS.ReadableStream, receive: (message: unknown) => void): void;
