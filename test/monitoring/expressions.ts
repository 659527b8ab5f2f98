/** What an expression of PromQL speaks of: metrics, and selectors with their matchers. */

/** Names of metrics. What is no word of the language here is taken for one, so that a misspelt one cannot hide. */
export function metricsOf(expr: string): readonly string[] {
  const bare = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, ' ')
    .replace(/\{[^{}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
  const words = [...bare.matchAll(/(?<![\w.])[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()/g)].map(([word]) => word)
  return [...new Set(words.filter((word) => !OPERATORS.has(word)))]
}

const OPERATORS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan'])

/** `metric{...}` as they stand, without ranges. */
export function selectorsOf(expr: string): readonly string[] {
  const own = [...expr.matchAll(/[a-zA-Z_:][\w:]*\{(?:"(?:[^"\\]|\\.)*"|[^{}"])*\}/g)].map(([selector]) => selector)
  return [...new Set([...own, ...metricsOf(expr)])]
}
