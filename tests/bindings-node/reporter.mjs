// One line of TAP for each test, whatever file it is in.
export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.nesting > 0 || data.name.endsWith('.js')) continue; // the files themselves
    const skip = data.skip ? ` # SKIP ${data.skip}` : '';
    yield `${type === 'test:pass' ? 'ok' : 'not ok'} - ${data.name.replaceAll('#', '')}${skip}\n`;
    if (type === 'test:fail') yield String(data.details.error?.cause?.stack ?? data.details.error).replace(/^/gm, '# ') + '\n';
  }
}
