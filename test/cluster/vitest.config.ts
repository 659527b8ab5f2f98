import { defineProject } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineProject({
  test: {
    name: 'cluster',
    include: ['**/*.test.ts'],
    // No test is timed: this only ends one that hangs, and later than what it waits for would.
    testTimeout: 600_000,
    // Servers are built and an image is made in one of them.
    hookTimeout: 3_600_000,
  },
})
