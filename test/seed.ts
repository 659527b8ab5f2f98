/** The seed of what is tried at random: the same for every run, so that none fails for what its change has nothing to do with. */
import fc from 'fast-check'

const chosen = process.env['KEYHOLE_SEED'] ?? '20261122'
// fast-check takes 32 bits, and tells the seed of a failure in the same way.
if (chosen !== 'random' && String(Number(chosen) | 0) !== chosen) {
  throw new Error(`KEYHOLE_SEED must be a whole number of 32 bits, or "random": ${chosen}`)
}
if (chosen !== 'random') fc.configureGlobal({ seed: Number(chosen) })
