// Saves the picture that is shown, as SVG or PNG. Without scripts the page lacks these buttons only.
for (const figure of document.querySelectorAll("figure[id]")) {
  const shown = () => [...figure.querySelectorAll(".v")].find((v) => v.offsetParent !== null)?.querySelector("svg");
  const save = (blob, suffix) => {
    const a = document.createElement("a");
    a.href = URL.createObjectURL(blob);
    a.download = figure.id + suffix;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  };
  const source = (svg) => {
    const copy = svg.cloneNode(true);
    const [, , w, h] = svg.getAttribute("viewBox").split(" ");
    copy.setAttribute("width", w);
    copy.setAttribute("height", h);
    return [new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }), +w, +h];
  };
  const button = (text, does) => {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = text;
    b.onclick = () => { const svg = shown(); if (svg) does(svg); };
    figure.append(b);
  };
  button("Save SVG", (svg) => save(source(svg)[0], ".svg"));
  button("Save PNG", (svg) => {
    const [blob, w, h] = source(svg);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * w;
      canvas.height = 2 * h;
      canvas.getContext("2d").drawImage(image, 0, 0, 2 * w, 2 * h);
      canvas.toBlob((png) => save(png, ".png"), "image/png");
    };
    image.src = URL.createObjectURL(blob);
  });
}
