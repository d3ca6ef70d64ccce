// Does what sample.c does, with handles that close themselves, and exceptions.
//
//     c++ sample.cpp $(pkg-config --cflags --libs ditcl) -o sample
//     ./sample emoji pictures cat heart
#include <ditcl.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

template <auto close> struct closer {
    template <typename T> void operator()(T *handle) const { close(handle); }
};
using context = std::unique_ptr<ditcl, closer<ditcl_destroy>>;
using model = std::unique_ptr<ditcl_model, closer<ditcl_model_close>>;
using device = std::unique_ptr<ditcl_device, closer<ditcl_device_close>>;
using pictures = std::unique_ptr<ditcl_pictures, closer<ditcl_pictures_free>>;

static void check(const context &c, ditcl_code code)
{
    if (code != DITCL_OK) throw std::runtime_error(ditcl_error(c.get()));
}

static pictures draw(const std::string &name, const std::vector<const char *> &classes)
{
    context c(ditcl_create());
    ditcl_model *m = nullptr;
    ditcl_device *d = nullptr;
    ditcl_pictures *p = nullptr;
    ditcl_request request;
    if (!c) throw std::bad_alloc();
    check(c, ditcl_model_open(c.get(), &m, name.c_str(), nullptr));
    model closes_model(m);
    check(c, ditcl_device_open(c.get(), &d, nullptr));
    device closes_device(d);

    ditcl_request_init(&request, sizeof request);
    request.classes = classes.data();
    request.n_classes = static_cast<int>(classes.size());
    request.steps = "10";
    request.seed = 7;
    request.guidance = 3;
    request.preview_every = 5;
    request.preview = [](void *, int step, int picture, const unsigned char *, int, int) {
        std::cerr << "picture " << picture << " after step " << step << "\n";
    };
    check(c, ditcl_sample(m, d, &request, &p));
    return pictures(p);
}

int main(int argc, char **argv)
try {
    if (argc < 3) throw std::invalid_argument("usage: sample MODEL OUT [CLASS...]");
    const pictures drawn = draw(argv[1], {argv + 3, argv + argc});
    const int width = ditcl_pictures_width(drawn.get());
    const int height = ditcl_pictures_height(drawn.get());
    for (int i = 0; i < ditcl_pictures_count(drawn.get()); i++) {
        std::ofstream out(argv[2] + ("-" + std::to_string(i) + ".ppm"), std::ios::binary);
        out << "P6 " << width << " " << height << " 255\n";
        out.write(reinterpret_cast<const char *>(ditcl_pictures_rgb(drawn.get(), i)),
                  3L * width * height);
        if (!out) throw std::runtime_error("cannot write the picture");
    }
    return 0;
} catch (const std::exception &failure) {
    std::cerr << failure.what() << "\n";
    return 1;
}
