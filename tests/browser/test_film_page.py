"""Films in a real Chromium: asked for in the studio, decoded by the browser, frame by frame."""

import base64

import pytest
from plane_recipes import plane

pytestmark = pytest.mark.browser

#: How many frames a GIF has, and a pixel of the last one.
COUNT = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const decoder = new ImageDecoder({ data: bytes, type: 'image/gif' });
  await decoder.tracks.ready;
  const track = decoder.tracks.selectedTrack;
  const { image } = await decoder.decode({ frameIndex: track.frameCount - 1 });
  return [track.frameCount, image.displayWidth, image.displayHeight];
}"""
#: The size and the seconds of the video of the page, and the corner's colour once it is drawn.
VIDEO = """async (video) => {
  if (video.readyState < 2) await new Promise((done, fail) => {
    video.addEventListener('loadeddata', done, { once: true });
    video.addEventListener('error', () => fail(new Error(video.error?.message)), { once: true });
  });
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0);
  return [video.videoWidth, video.videoHeight, video.duration, [...pen.getImageData(2, 2, 1, 1).data]];
}"""


def test_a_film_is_made_beside_the_page_and_plays(context, studio):
    page = context.new_page()
    page.goto(f"{studio}/?recipe={plane(levels={'steps': 9}).to_link()}")
    page.get_by_role("button", name="Run Shortcut").first.click()
    page.locator("[class*='st-key-save-'] button").first.click()
    page.get_by_role("button", name="A film of how it formed").click()
    dialog = page.get_by_role("dialog").filter(has_text="Speed, moments a second")
    dialog.get_by_role("button", name="Make the film").click()
    with page.expect_download() as waiting:
        dialog.get_by_role("button", name="Save the GIF").click()
    content = waiting.value.path().read_bytes()
    frames, wide, high = page.evaluate(COUNT, base64.b64encode(content).decode())
    assert (frames, wide) == (10, 720) and high % 2 == 0
    dialog.get_by_role("radio", name="MP4").or_(dialog.get_by_text("MP4", exact=True)).first.click()
    dialog.get_by_role("button", name="Make the film").click()
    video = dialog.locator("video")
    video.wait_for()
    found = video.evaluate(VIDEO)
    assert found[:2] == [wide, high] and found[2] == pytest.approx((10 + 15) / 10, abs=0.15)
    assert min(found[3]) > 250  # white, as the page is
    # The dialog goes and the page is as it was.
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.get_by_text("10 moments").count() == 0
    assert context.foreign == []
    page.close()
