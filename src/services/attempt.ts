/** A request as it arrived, before anything is known of who sent it. */
export interface Attempt {
  readonly requestId: string
  /** The peer's address, for the record. */
  readonly peer: string
  /** Aborts when the client has left before its answer was whole. */
  readonly gone: AbortSignal
}
