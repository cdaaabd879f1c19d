/** Numbers to three or four significant digits, with an apostrophe every three digits. */
export function format(value) {
  if (typeof value !== 'number') return String(value ?? '');
  if (!Number.isFinite(value)) return '-';
  if (value !== 0 && Math.abs(value) < 0.01) return value.toPrecision(2);
  const digits = Number.isInteger(value) || Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : 2;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, "'");
}

/** The first column to the left, the others to the right. */
export function formatTable(columns, rows) {
  const lines = [columns, ...rows].map((row) => row.map(format));
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)));
  const text = lines.map((line) =>
    `  ${widths.map((width, i) => (i ? (line[i] ?? '').padStart(width) : (line[i] ?? '').padEnd(width))).join('  ')}`.trimEnd(),
  );
  text.splice(1, 0, `  ${widths.map((width) => '-'.repeat(width)).join('  ')}`);
  return text.join('\n');
}
