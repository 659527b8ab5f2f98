/** Vault as an administrator sees it. */

export type Fields = Readonly<Record<string, unknown>>

export interface VaultAdmin {
  /** The `data` of what is there; undefined where nothing is. @throws UpstreamError */
  read(path: string, signal: AbortSignal): Promise<Fields | undefined>
  /** Names below a path; none where nothing is. @throws UpstreamError */
  list(path: string, signal: AbortSignal): Promise<readonly string[]>
  /** @throws UpstreamError */
  write(path: string, data: Fields, signal: AbortSignal): Promise<void>
}
