// The UI's libraries add <style> elements while they run. Each made by a script of ours gets the page's nonce, so that
// the policy can forbid all other inline styles, such as those of markup that somebody managed to bring in.
(() => {
  const { nonce } = document.currentScript;
  for (const name of ['createElement', 'createElementNS']) {
    const make = Document.prototype[name];
    Document.prototype[name] = function (...given) {
      const element = make.apply(this, given);
      if (element.localName === 'style') element.nonce = nonce;
      return element;
    };
  }
})();
