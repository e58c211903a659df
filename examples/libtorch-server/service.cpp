#include "service.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <utility>

#include "network.hpp"
#include "picture.hpp"

namespace server {
namespace {

// No answer lists more, however large the picture.
constexpr std::size_t MOST_FACES = 1000;

void quote(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  out += '"';
}

// Nine digits are enough to give every float back. JSON has none for what weights that are not finite
// make.
void number(std::string& out, float value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", static_cast<double>(value));
  out += digits;
}

std::string complaint(const secure_torch::Failure& failure) {
  return server::complaint(failure.code(), failure.message(), failure.hint());
}

}  // namespace

std::string complaint(std::string_view code, std::string_view message, std::string_view hint) {
  std::string out = R"({"code":)";
  quote(out, code);
  out += R"(,"message":)";
  quote(out, message);
  out += R"(,"hint":)";
  quote(out, hint);
  out += '}';
  return out;
}

std::shared_ptr<Model> Service::current() const {
  const std::lock_guard<std::mutex> held(lock_);
  return model_;
}

Answer Service::replace(std::string_view name, std::string_view file) {
  auto checkpoint = secure_torch::load_bytes(name, file);
  if (!checkpoint) {
    const secure_torch::Failure& failure = checkpoint.error();
    const auto report = failure.report();
    // What the gate blocks is told by its report, word for word.
    const bool blocked = failure.result() == SECURE_TORCH_RESULT_MODEL_BLOCKED && report;
    return {422, blocked ? std::string(report->json()) : complaint(failure)};
  }
  auto model = std::make_shared<Model>();
  // Every name and every shape has to fit. The weights are copied: the network outlives the upload.
  const auto filled = secure_torch::libtorch::load_state_dict(*model->network, *checkpoint);
  if (!filled) return {422, complaint(filled.error())};
  model->network->eval();
  model->report = checkpoint->report().json();
  std::string report = model->report;
  {
    const std::lock_guard<std::mutex> held(lock_);
    model_.swap(model);
  }
  // The model before it goes here, outside of the lock, unless a request still has it.
  return {200, std::move(report)};
}

Answer Service::predict(std::string_view bytes, double threshold) const {
  const auto model = current();
  if (!model) return {409, complaint("no-model", "no model is loaded", "POST one to /model")};
  const auto picture = Picture::parse(bytes);
  if (!picture) {
    return {400, complaint("bad-picture", "the body is not a picture that is read here",
                           "send a binary PPM: P6, 8 bits, from 12 to 2048 pixels a side")};
  }
  const c10::InferenceMode inference;
  // The tensor looks at the request's own bytes until `to` makes floats of them.
  const auto pixels =
      at::from_blob(const_cast<char*>(picture->pixels.data()), {picture->height, picture->width, 3},
                    at::TensorOptions().dtype(at::kByte));
  const auto image = pixels.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).sub(127.5).mul(0.0078125);
  const auto [chances, boxes] = model->network->forward(image);
  const auto scores = chances[0][1].contiguous();
  const auto corrections = boxes[0].contiguous();
  const auto score = scores.accessor<float, 2>();
  const auto box = corrections.accessor<float, 3>();

  std::string faces;
  std::size_t count = 0;
  for (std::int64_t row = 0; row < score.size(0); ++row) {
    for (std::int64_t column = 0; column < score.size(1); ++column) {
      if (!(score[row][column] >= threshold) || ++count > MOST_FACES) continue;
      faces += faces.empty() ? "{" : ",{";
      faces += "\"row\":" + std::to_string(row) + ",\"column\":" + std::to_string(column);
      faces += ",\"score\":";
      number(faces, score[row][column]);
      faces += ",\"box\":[";
      for (std::int64_t side = 0; side < 4; ++side) {
        if (side > 0) faces += ',';
        number(faces, box[side][row][column]);
      }
      faces += "]}";
    }
  }
  std::string out = "{\"rows\":" + std::to_string(score.size(0));
  out += ",\"columns\":" + std::to_string(score.size(1));
  out += ",\"found\":" + std::to_string(count) + ",\"faces\":[" + faces + "]}";
  return {200, std::move(out)};
}

Answer Service::report() const {
  const auto model = current();
  if (!model) return {404, complaint("no-model", "no model is loaded", "POST one to /model")};
  return {200, model->report};
}

Answer Service::health() const {
  return {200, current() ? R"({"status":"ok","model":true})" : R"({"status":"ok","model":false})"};
}

}  // namespace server
