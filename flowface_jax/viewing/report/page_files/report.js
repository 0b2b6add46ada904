"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const video = document.querySelector("#watch video");
  const label = document.getElementById("frame");
  const why = document.querySelector("#now .why");
  const charts = [...document.querySelectorAll("figure.frames")];
  const count = data.ids.length;
  let current = -1;

  const text = (value) => (value === null || value === undefined ? "–" : String(value));

  function show(frame) {
    frame = Math.max(0, Math.min(count - 1, frame));
    if (frame === current) return;
    current = frame;
    if (label) label.textContent = `frame ${data.ids[frame]} · ${data.times[frame].toFixed(2)} s`;
    if (why) why.textContent = data.reasons[data.flags[frame]] || "";
    for (const chart of charts) {
      const box = chart.querySelector("svg").viewBox.baseVal;
      const x = (box.width * frame) / Math.max(count - 1, 1);
      chart.querySelector(".cursor").setAttribute("d", `M${x} 0V${box.height}`);
      const outputs = chart.querySelectorAll("output");
      data.charts[chart.id].forEach((values, n) => { outputs[n].textContent = text(values[frame]); });
    }
  }

  function jump(frame) {
    show(frame);
    if (!video) return;
    video.pause();
    // The middle of a frame's time, so that rounding never shows its neighbour.
    video.currentTime = (current + 0.5) / data.rate;
  }

  for (const chart of charts) {
    const area = chart.querySelector(".area");
    const at = (event) => {
      const box = area.getBoundingClientRect();
      return Math.round(((event.clientX - box.left) / box.width) * (count - 1));
    };
    area.addEventListener("pointerdown", (event) => { area.setPointerCapture(event.pointerId); jump(at(event)); });
    area.addEventListener("pointermove", (event) => { if (event.buttons & 1) jump(at(event)); });
  }
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-frame]");
    if (target) jump(Number(target.dataset.frame));
    const step = event.target.closest("[data-step]");
    if (step) jump(current + Number(step.dataset.step));
  });
  if (video) {
    const follow = () => show(Math.floor(video.currentTime * data.rate + 1e-6));
    if ("requestVideoFrameCallback" in video) {
      const each = () => { follow(); video.requestVideoFrameCallback(each); };
      video.requestVideoFrameCallback(each);
    }
    video.addEventListener("timeupdate", follow);
    video.addEventListener("seeked", follow);
  }
  show(0);
})();
