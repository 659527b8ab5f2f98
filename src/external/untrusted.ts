/** Why TLS with a peer fails, which a Send tells only that it does. For people who look for the reason. */
import { connect } from 'node:tls'

/** Connects once more, and says in a few words how that ended. @param ca PEM; absent: the system's CAs. @param signal ends it; it has no bound of its own. */
export function whyUntrusted(origin: string, ca: string | undefined, signal: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port === '' ? 443 : port),
      rejectUnauthorized: true,
      ...(ca !== undefined && { ca }),
    })
    const end = (words: string) => {
      signal.removeEventListener('abort', giveUp)
      socket.destroy()
      resolve(words)
    }
    const giveUp = () => end('it does not say why')
    signal.addEventListener('abort', giveUp)
    socket.once('secureConnect', () => end('this time it was: look again'))
    socket.once('error', (error) => end(wordsFor('code' in error ? String(error.code) : '')))
  })
}

function wordsFor(code: string): string {
  return WORDS.find(([pattern]) => pattern.test(code))?.[1] ?? `TLS fails${/^\w{1,64}$/.test(code) ? ` (${code})` : ''}`
}

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/ALTNAME/, 'its certificate is for other names than that of its address'],
  [/CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/CERT_NOT_YET_VALID/, 'its certificate is not valid yet'],
  [/^(?:UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|CERT_UNTRUSTED)/, 'another CA than the one given signed its certificate'],
]
