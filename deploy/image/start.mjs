#!/nodejs/bin/node
/**
 * Runs program.js, from V8's cache of it where there is one. Node has a compile cache of its own, but writes it before a file has
 * run: it lacks every function that is compiled when it is first called, which is most of what a start costs. record.mjs writes
 * this one after a start. Another Node, another processor or other flags have another tag, find nothing, and compile.
 */
const [{ readFileSync }, { createRequire }, { cachedDataVersionTag }, { Script }] = [
  ...['fs', 'module', 'v8', 'vm'].map((name) => process.getBuiltinModule(`node:${name}`)),
]

const filename = `${import.meta.dirname}/program.js`
/** V8 holds the cache to the length of the source, and no more: the two are made together, and nobody may write to either. */
export const cacheFile = () => `${import.meta.dirname}/cache/${cachedDataVersionTag()}`

function cached() {
  try {
    return readFileSync(cacheFile())
  } catch {
    return undefined
  }
}

// esbuild wrote ASCII.
export const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: cached() })
script.runInThisContext()(createRequire(filename))
